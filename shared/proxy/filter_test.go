package proxy

import (
	"bufio"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"testing"

	"keyless/shared/auth"
	"keyless/shared/registry"
)

// FuzzHeaderFilter sends any header and query to an LLM API, and to an http API whose caller proved itself
// by a cookie.
func FuzzHeaderFilter(f *testing.F) {
	f.Add("Connection: x-consumer, authorization\r\nX-Consumer: admin\r\n", "a=1&key=2")
	f.Add("X_Consumer: admin\r\nCookie: a=b; session=s;session = t\r\n", "K%65y=1&to+ken&%zz=1")
	f.Add("x-forwarded-for: 1\r\nForwarded: 1\r\nX-Fc-Key: 1\r\nTe: a\r\nExpect: b\r\n", "&&=&")
	f.Fuzz(func(t *testing.T, lines, query string) {
		in, err := textproto.NewReader(bufio.NewReader(strings.NewReader(lines + "\r\n"))).ReadMIMEHeader()
		if err != nil || strings.ContainsAny(query, " #") {
			return
		}
		before := http.Header(in).Clone()
		upstream := &registry.Upstream{Protocol: registry.OpenAI}
		for _, kind := range []string{registry.LLM, registry.HTTP} {
			c := &call{
				id: "id", in: &http.Request{Header: http.Header(in),
					URL: &url.URL{RawQuery: query}},
				route: registry.Route{API: &registry.API{Type: kind}},
				known: &registry.Snapshot{},
				decision: auth.Decision{
					Consumer: &registry.Consumer{Name: "shop"},
					Place:    registry.Place{In: registry.InCookie, Name: "session"},
				},
			}
			h := c.headerUp(leg{aim: aim{upstream: upstream}, key: "ours"})
			check(t, kind, h, c.queryUp())
		}
		for name, values := range before {
			if strings.Join(in[name], "|") != strings.Join(values, "|") {
				t.Errorf("the client's own header was changed: %s", name)
			}
		}
	})
}

func check(t *testing.T, kind string, h http.Header, query string) {
	t.Helper()
	for name, want := range map[string]string{"X-Consumer": "shop", "X-Request-Id": "id",
		"Authorization": "Bearer ours"} {
		if got := strings.Join(h[name], "|"); got != want {
			t.Errorf("%s: %s is %q", kind, name, got)
		}
	}
	for name := range h {
		lower := strings.ToLower(name)
		if strings.Contains(name, "_") || hopByHop[name] || strings.HasPrefix(lower,
			"x-forwarded-") || strings.HasPrefix(lower, "x-fc-") {
			t.Errorf("%s: %s passed", kind, name)
		}
	}
	if sent := auth.Sent(&http.Request{Header: h}, registry.Place{In: registry.InCookie,
		Name: "session"}); len(sent) > 0 {
		t.Errorf("%s: the credential passed: %q", kind, h["Cookie"])
	}
	if kind == registry.HTTP {
		return
	}
	if h["Cookie"] != nil || h["X-Api-Key"] != nil {
		t.Error("a credential of the client's passed")
	}
	for _, name := range credentialParameters {
		r := &http.Request{URL: &url.URL{RawQuery: query}}
		if sent := auth.Sent(r, registry.Place{In: registry.InQuery, Name: name}); len(sent) > 0 {
			t.Errorf("%s passed in %q", name, query)
		}
	}
}

func TestTracesThatGoOn(t *testing.T) {
	t.Parallel()
	const id, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	for value, want := range map[string]bool{
		"00-" + id + "-" + span + "-01":                  true,
		"00-" + id + "-" + span + "-01-more":             false,
		"cc-" + id + "-" + span + "-01-more":             true,
		"ff-" + id + "-" + span + "-01":                  false,
		"00-" + zeroTrace + "-" + span + "-01":           false,
		"00-" + id + "-" + zeroSpan + "-01":              false,
		"00-" + strings.ToUpper(id) + "-" + span + "-01": false,
		"00-" + id + "-" + span:                          false,
		" 00-" + id + "-" + span + "-01":                 false,
		"00-" + id + "-" + span + "-01\n":                false,
	} {
		if got := keepsTrace(value); got != want {
			t.Errorf("%q: %v", value, got)
		}
		h := http.Header{"Traceparent": {value}, "Tracestate": {"a=b"}}
		if trace(h); !keepsTrace(h.Get("Traceparent")) || (h.Get("Tracestate") != "") != want {
			t.Errorf("%q becomes %v", value, h)
		}
	}
	twice := http.Header{"Traceparent": {"00-" + id + "-" + span + "-01", "00-" + id + "-" + span + "-00"}}
	if trace(twice); len(twice["Traceparent"]) != 1 || strings.Contains(twice.Get("Traceparent"), id) {
		t.Errorf("two traces become %v", twice)
	}
}
