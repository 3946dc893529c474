package proxy

import (
	"bytes"
	"io"
)

// masked is an answer's body in which our credential is masked, byte for byte, so that all lengths stay: an upstream may echo it in an
// answer that is none of its errors, such as an event in a stream. What may be the credential's beginning at the end of a read waits for
// the next, so that no split hides it.
type masked struct {
	io.ReadCloser
	secret []byte
	ready  []byte // that found no room
	held   []byte // may be the secret's beginning, and is shorter
	err    error  // to tell when nothing is ready
}

// maskedRoom is what a read has room for beside the secret: where the caller's room is smaller one of ours takes its place.
const maskedRoom = 4 << 10

// Read returns all that came, but for what may be the secret's beginning.
func (m *masked) Read(b []byte) (int, error) {
	if len(m.ready) == 0 && m.err == nil {
		if room := len(m.secret) + maskedRoom; len(b) < room {
			into := make([]byte, room)
			m.ready = into[:m.fill(into)]
		} else if n := m.fill(b); n > 0 {
			return n, m.err
		}
	}
	n := copy(b, m.ready)
	if m.ready = m.ready[n:]; len(m.ready) > 0 {
		return n, nil
	}
	return n, m.err
}

// fill reads until something is ready or nothing more comes.
func (m *masked) fill(into []byte) int {
	for {
		n := copy(into, m.held)
		m.held = m.held[:0]
		read, err := m.ReadCloser.Read(into[n:])
		n += read
		mask(into[:n], m.secret)
		if m.err = err; err != nil {
			return n
		}
		keep := beginning(into[:n], m.secret)
		m.held = append(m.held, into[n-keep:n]...)
		if n -= keep; n > 0 {
			return n
		}
	}
}

// beginning is how many bytes at the end of a text are the beginning of a secret, less than all of it.
func beginning(text, secret []byte) int {
	for n := min(len(text), len(secret)-1); n > 0; n-- {
		if text[len(text)-n] == secret[0] && bytes.HasPrefix(secret, text[len(text)-n:]) {
			return n
		}
	}
	return 0
}
