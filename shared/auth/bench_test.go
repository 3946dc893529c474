package auth_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"

	"keyless/shared/auth"
	"keyless/shared/registry"
	"keyless/shared/registry/storetest"
	"keyless/shared/seal"
)

// few is what a decision among many is compared with.
const few = 10

// many is how many consumers a large registry has: a million under KEYLESS_BENCH_LARGE=1, which takes a while to load.
func many() int {
	if os.Getenv("KEYLESS_BENCH_LARGE") == "1" {
		return 1_000_000
	}
	return 100_000
}

// crowd is a registry of n consumers in a Redis of its own: those with an even number prove themselves by an API key, the others by a
// token of our own instance.
type crowd struct {
	n       int
	store   registry.Store
	keys    *seal.Keys
	gate    *auth.Gate
	private *ecdsa.PrivateKey
}

func newCrowd(b *testing.B, n int) *crowd {
	b.Helper()
	var address string
	if _, err := exec.LookPath("redis-server"); err == nil {
		address = storetest.Redis(b)
	} else {
		address = miniredis.RunT(b).Addr()
	}
	client := must(registry.Connect("redis://" + address))
	b.Cleanup(func() { _ = client.Close() })
	c := &crowd{
		n: n, store: registry.NewRedis(client, "kg"), keys: must(seal.ParseKeys(seal.NewMasterKey())),
		private: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)),
		gate:    auth.New(keySource{}, "https://gateway.example", clock),
	}
	c.begin(b)
	start := time.Now()
	c.load(b, address)
	b.Logf("%d consumers loaded in %v", n, time.Since(start).Round(time.Millisecond))
	return c
}

// begin applies what stands in the Snapshot, with one consumer of each kind.
func (c *crowd) begin(b *testing.B) {
	b.Helper()
	_, err := registry.Apply(b.Context(), c.store, c.keys, &registry.Config{
		Version:   1,
		Instances: []registry.Instance{{ID: "acme", Description: "d", PrivacyAgreement: "accepted"}},
		APIs:      []registry.API{api("orders", "jwt", "api_key", "hmac")},
		Consumers: []registry.Consumer{
			keyed("first-key", "", "", nil, "orders"),
			{Name: "first-token", JWT: &registry.JWTCredential{JWKSURL: ours}, Authorizations: may("orders")},
		},
	}, registry.ApplyOptions{})
	if err != nil {
		b.Fatal(err)
	}
	set := must(json.Marshal(registry.KeySet{JWKS: json.RawMessage(text(map[string]any{
		"keys": []any{must(jwk.FromRaw(c.private.Public()))},
	}))}))
	if err := c.store.Write(b.Context(), registry.Change{Set: map[string]string{registry.FieldKeySet("acme"): string(set)}}); err != nil {
		b.Fatal(err)
	}
}

const ours = "https://gateway.example/acme/oauth2/jwks"

// load writes the consumers as a Store does, as fast as the server reads: all commands on one connection, their replies counted.
func (c *crowd) load(b *testing.B, address string) {
	b.Helper()
	conn := must(net.Dial("tcp", address))
	defer func() { _ = conn.Close() }()
	replies := make(chan error, 1)
	go func() {
		lines := bufio.NewReaderSize(conn, 1<<20)
		for range 3 * c.n {
			if line, err := lines.ReadSlice('\n'); err != nil || line[0] != ':' {
				replies <- fmt.Errorf("reply %q: %w", line, err)
				return
			}
		}
		replies <- nil
	}()
	snapshot := must(c.reader().Snapshot(b.Context()))
	w := bufio.NewWriterSize(conn, 1<<20)
	for i := range c.n {
		if err := c.write(w, snapshot, i); err != nil {
			b.Fatal(err)
		}
	}
	if err := errors.Join(w.Flush(), <-replies); err != nil {
		b.Fatal(err)
	}
}

// write sends what a Store writes of the consumer i.
func (c *crowd) write(w *bufio.Writer, snapshot *registry.Snapshot, i int) error {
	consumer := registry.Consumer{Name: fmt.Sprint("c", i), Authorizations: may("orders")}
	index := registry.IndexJWT("uid", consumer.Name)
	if i%2 == 0 {
		hash := must(snapshot.HashAPIKey(keyOf(i)))
		consumer.APIKey = &registry.APIKeyCredential{Keys: []registry.APIKey{{ID: "k1", Hash: hash}}}
		index = registry.IndexAPIKey(registry.BearerPlace, hash)
	} else {
		consumer.JWT = &registry.JWTCredential{JWKSURL: ours, Value: consumer.Name}
	}
	const space = registry.Space("kg")
	entry := text(consumer)
	for _, command := range [][]string{
		{"SADD", space.Names(registry.KindConsumer), consumer.Name},
		{"HSET", space.Entry(registry.KindConsumer, consumer.Name), registry.FieldVersion, "v", registry.FieldEntry, entry},
		{"HSET", space.Index(index), consumer.Name, "v\n" + entry},
	} {
		if _, err := fmt.Fprintf(w, "*%d\r\n", len(command)); err != nil {
			return err
		}
		for _, word := range command {
			if _, err := fmt.Fprintf(w, "$%d\r\n%s\r\n", len(word), word); err != nil {
				return err
			}
		}
	}
	return nil
}

func keyOf(i int) string { return fmt.Sprintf("kg_consumer-%08d", i) }

// reader is a process that has met nobody.
func (c *crowd) reader() *registry.Reader { return registry.NewReader(c.store, c.keys, clock) }

// request is what the consumer i sends.
func (c *crowd) request(i int) *http.Request {
	if i%2 == 0 {
		return send("GET", "/orders", "", "Authorization: Bearer "+keyOf(i))
	}
	claims := []byte(text(map[string]any{"uid": fmt.Sprint("c", i), "iat": now.Unix(), "exp": now.Unix() + 60}))
	token := must(jws.Sign(claims, jws.WithKey(jwa.ES256, c.private)))
	return send("GET", "/orders", "", "Authorization: Bearer "+string(token))
}

// requests are of ten consumers of a kind, spread over all, beginning anywhere.
func (c *crowd) requests(first, kind int) []*http.Request {
	var list []*http.Request
	for i := range few / 2 {
		n := (first + i*(c.n/few)) % (c.n / 2)
		list = append(list, c.request(2*n+kind))
	}
	return list
}

func (c *crowd) decide(b *testing.B, reader *registry.Reader, requests []*http.Request) {
	for _, r := range requests {
		var d auth.Decision
		err := reader.Consult(context.Background(), func(v registry.View) (registry.Result, error) {
			var err error
			d, err = c.gate.Decide(context.Background(), v, r, v.APIs["orders"])
			return d.Result(), err
		})
		if err != nil || !d.Allowed {
			b.Fatal(d.Reason, err, d.Trace)
		}
	}
}

// compare times few and many by turns in one run, and reports the median of each and of their ratio.
func compare(b *testing.B, small, large *crowd, rounds int, decide func(c *crowd, round int) (elapsed time.Duration, decisions int)) {
	var ratios, smalls, larges []float64
	round := 0
	for b.Loop() {
		for range rounds {
			one, n := decide(small, round)
			other, m := decide(large, round)
			smalls, larges = append(smalls, float64(one)/float64(n)), append(larges, float64(other)/float64(m))
			ratios = append(ratios, larges[len(larges)-1]/smalls[len(smalls)-1])
			round++
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(smalls), fmt.Sprint("ns/decision@", small.n))
	b.ReportMetric(median(larges), fmt.Sprint("ns/decision@", large.n))
	b.ReportMetric(median(ratios), "ratio")
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

var kinds = map[int]string{0: "api key", 1: "jwt"}

// BenchmarkWarmDecision compares decisions on consumers that the process has met, of ten and of many.
func BenchmarkWarmDecision(b *testing.B) {
	small, large := newCrowd(b, few), newCrowd(b, many())
	for kind, name := range kinds {
		b.Run(name, func(b *testing.B) {
			readers := map[*crowd]*registry.Reader{small: small.reader(), large: large.reader()}
			sets := map[*crowd][]*http.Request{small: small.requests(0, kind), large: large.requests(7, kind)}
			compare(b, small, large, 20, func(c *crowd, _ int) (time.Duration, int) {
				start := time.Now()
				for range 100 {
					c.decide(b, readers[c], sets[c])
				}
				return time.Since(start), 100 * len(sets[c])
			})
		})
	}
}

// BenchmarkColdDecision compares decisions on consumers that the process has not met, and those of a process that has met nothing.
func BenchmarkColdDecision(b *testing.B) {
	small, large := newCrowd(b, few), newCrowd(b, many())
	for kind, name := range kinds {
		for _, process := range []string{"consumer", "process"} {
			b.Run(process+"/"+name, func(b *testing.B) {
				compare(b, small, large, 20, func(c *crowd, round int) (time.Duration, int) {
					reader, set := c.reader(), c.requests(round*13, kind)
					if process == "consumer" {
						_ = must(reader.Snapshot(context.Background()))
					} else {
						set = set[:1]
					}
					start := time.Now()
					c.decide(b, reader, set)
					return time.Since(start), len(set)
				})
			})
		}
	}
}

// BenchmarkMemory touches consumer after consumer and looks at the heap where the two generations stand alike: it must not grow with
// their number.
func BenchmarkMemory(b *testing.B) {
	c := newCrowd(b, many())
	const generation = 4096
	const most = 1 << 20 // what the allocator itself may keep
	for b.Loop() {
		reader := c.reader()
		base := heap()
		var seen [3]uint64
		next := 0
		for i := range seen {
			for range 2 * generation {
				c.decide(b, reader, []*http.Request{send("GET", "/orders", "", "Authorization: Bearer "+keyOf(2*next))})
				next++
			}
			seen[i] = heap() - base
		}
		runtime.KeepAlive(reader)
		b.ReportMetric(float64(seen[0])/(1<<20), "MiB@8192")
		b.ReportMetric(float64(seen[2])/(1<<20), "MiB@24576")
		if seen[2] > seen[0]+most {
			b.Errorf("memory grows with the consumers: %v bytes", seen)
		}
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkGlobalRules judges an open API's path by ten expressions, which are compiled when the Snapshot is read.
func BenchmarkGlobalRules(b *testing.B) {
	h := newHouse(b, globalHouse(func(g *registry.GlobalAuthentication) {
		g.Rules = nil
		for i := range 10 {
			g.Rules = append(g.Rules, registry.Rule{Path: fmt.Sprintf("/open/(a|b|c)%d/[0-9]+", i), Match: registry.MatchRegex})
		}
	}))
	r := send("GET", "/open/c9/123", "")
	for b.Loop() {
		if d, err := h.decideWarm(r, "open"); err != nil || !d.Allowed {
			b.Fatal(d.Reason, err)
		}
	}
}

// decideWarm judges a request as decide does, without asking the store after it.
func (h *house) decideWarm(r *http.Request, api string) (auth.Decision, error) {
	var d auth.Decision
	err := h.reader.Consult(context.Background(), func(v registry.View) (registry.Result, error) {
		var err error
		d, err = h.gate.Decide(context.Background(), v, r, v.APIs[api])
		return d.Result(), err
	})
	return d, err
}
