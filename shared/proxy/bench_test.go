package proxy_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
)

// BenchmarkProxyUnary is a small call and answer over sockets: the client's side and the upstream's are in
// all figures. The floor is net/http's own reverse proxy before the same upstream, which decides nothing.
func BenchmarkProxyUnary(b *testing.B) {
	answer := strings.Repeat("a", 1<<10)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, answer)
	}))
	defer upstream.Close()
	base, err := url.Parse(upstream.URL)
	if err != nil {
		b.Fatal(err)
	}
	floor := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(base) },
	})
	defer floor.Close()
	w := open(b, upstream.URL)
	for name, at := range map[string]string{"floor": floor.URL, "gateway": w.url} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := w.request(http.MethodPost, "/v1/chat/completions", answer)
				r.URL.Host = strings.TrimPrefix(at, "http://")
				if got := do(b, r); got.StatusCode != http.StatusOK {
					b.Fatal(got.StatusCode, got.body)
				}
				if at == w.url {
					<-w.ended
				}
			}
		})
	}
}
