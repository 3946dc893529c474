package storetest

import (
	"net"
	"sync"
	"testing"
)

// Proxy stands between a client and a Redis server, counts round trips where they happen, and can lose
// replies. Safe for concurrent use; the count of trips is exact while one request at a time is on its
// way.
type Proxy struct {
	address string

	mu     sync.Mutex // guards all below
	conns  []net.Conn
	trips  int
	writes int
	lose   int
	dies   bool // after left more round trips
	left   int
	heard  bool // the server still hears what comes when the client is dead
}

// NewProxy listens on the loopback and forwards to the address until the test ends.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{address: listener.Addr().String()}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() { p.serve(client, target) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		p.closeAll()
		group.Wait()
	})
	return p
}

// Address is where the proxy listens, host:port.
func (p *Proxy) Address() string { return p.address }

// Reset forgets what was counted.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trips, p.writes = 0, 0
}

// Trips is how often a client spoke after the server had spoken, or first: round trips.
func (p *Proxy) Trips() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trips
}

// Writes is in how many pieces the clients' bytes arrived.
func (p *Proxy) Writes() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.writes
}

// LoseReplies cuts the connection in place of the next n replies: the server has done what was asked, and
// nobody hears.
func (p *Proxy) LoseReplies(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose = n
}

// DieAfter lets n more round trips pass and cuts whatever comes then, for good: the client died. Where heard, the server has done
// the last of it.
func (p *Proxy) DieAfter(n int, heard bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dies, p.left, p.heard = true, n, heard
}

// dead reports whether what a client has sent is cut, and whether the server hears it. It is called under the lock, for the first
// piece of a request.
func (p *Proxy) dead() (bool, bool) {
	if !p.dies {
		return false, true
	}
	p.left--
	return p.left < 0, p.heard && p.left == -1
}

func (p *Proxy) serve(client net.Conn, target string) {
	server, err := net.Dial("tcp", target)
	if err != nil {
		_ = client.Close()
		return
	}
	p.mu.Lock()
	p.conns = append(p.conns, client, server)
	p.mu.Unlock()
	asking := false // guarded by p.mu: the client spoke last
	silent := false // guarded by p.mu: nobody hears the answer
	var group sync.WaitGroup
	group.Go(func() {
		pump(client, server, func() bool {
			if !asking {
				p.trips++
				cut, heard := p.dead()
				silent = cut && heard
				if cut && !heard {
					return false
				}
			}
			asking = true
			p.writes++
			return true
		}, &p.mu)
	})
	group.Go(func() {
		pump(server, client, func() bool {
			asking = false
			if p.lose == 0 || silent {
				return !silent
			}
			p.lose--
			return false
		}, &p.mu)
	})
	group.Wait()
}

// pump copies until either side ends or seen, called under the lock for each piece, says no; then it
// closes both.
func pump(from, to net.Conn, seen func() bool, mu *sync.Mutex) {
	defer func() { _, _ = from.Close(), to.Close() }()
	piece := make([]byte, 64<<10)
	for {
		n, err := from.Read(piece)
		if n > 0 {
			mu.Lock()
			pass := seen()
			mu.Unlock()
			if !pass {
				return
			}
			if _, err := to.Write(piece[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *Proxy) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		_ = conn.Close()
	}
}
