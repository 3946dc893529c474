package authorizer_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"testing"
)

// The doubles behave as the gateways that cannot run here do, as their sources and documents say; each stands
// in the form in which it is easiest to fool: it passes all headers on, and a failure of the authorizer opens
// it.

// taken are the headers of an answer that the doubles are configured to take over.
var taken = []string{"X-Consumer", "X-Keyless-Subject", "X-Mapped"}

// double starts a gateway that asks, and passes the request on where ask says so.
func double(ask func(base string, w http.ResponseWriter, r *http.Request) bool) func(
	*testing.T, *httptest.Server, *httptest.Server) string {
	return func(t *testing.T, backend, authorizer *httptest.Server) string {
		t.Helper()
		target, err := url.Parse(backend.URL)
		if err != nil {
			t.Fatal(err)
		}
		pass := httputil.NewSingleHostReverseProxy(target)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if ask(authorizer.URL, w, r) {
				pass.ServeHTTP(w, r)
			}
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
}

// question makes the request to the authorizer with the client's headers. The path goes out as it came in.
func question(ctx context.Context, method, base, path string, h http.Header) *http.Request {
	q, err := http.NewRequestWithContext(ctx, method, base, http.NoBody)
	if err != nil {
		panic(err) // only a broken test asks so
	}
	q.URL.Opaque = path
	q.Header = h.Clone()
	q.Header.Del("Content-Length")
	return q
}

func relay(w http.ResponseWriter, reply *http.Response) bool {
	for name, values := range reply.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(reply.StatusCode)
	_, _ = io.Copy(w, reply.Body)
	return false
}

// traefikDouble is ForwardAuth: a GET with X-Forwarded-* over the client's own, any 2xx allows, anything else
// is relayed whole; the client's copies of what is taken over are removed.
func traefikDouble(base string, w http.ResponseWriter, r *http.Request) bool {
	q := question(r.Context(), "GET", base, "/_/authorize/traefik", r.Header)
	for name, value := range map[string]string{"X-Forwarded-Method": r.Method, "X-Forwarded-Proto": "http",
		"X-Forwarded-Host": r.Host, "X-Forwarded-Uri": r.RequestURI, "X-Forwarded-For": "192.0.2.7"} {
		q.Header.Set(name, value)
	}
	reply, err := http.DefaultClient.Do(q)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return false
	}
	defer reply.Body.Close()
	if reply.StatusCode/100 != 2 {
		return relay(w, reply)
	}
	for _, name := range taken {
		r.Header.Del(name)
		if values := reply.Header[name]; len(values) > 0 {
			r.Header[name] = values
		}
	}
	return true
}

// higressForward is ext-auth in endpoint_mode forward_auth: nginx' words and Traefik's; exactly 200 allows; a
// failure is status_on_error; what the answer lacks stays as the client sent it.
func higressForward(base string, w http.ResponseWriter, r *http.Request) bool {
	q := question(r.Context(), "POST", base, "/_/authorize/traefik", r.Header)
	for name, value := range map[string]string{"X-Forwarded-Method": r.Method, "X-Forwarded-Proto": "http",
		"X-Forwarded-Host": r.Host, "X-Forwarded-Uri": r.RequestURI, "X-Original-Method": r.Method,
		"X-Original-Uri": r.RequestURI} {
		q.Header.Set(name, value)
	}
	reply, err := http.DefaultClient.Do(q)
	if err != nil || reply.StatusCode >= 500 {
		w.WriteHeader(http.StatusForbidden)
		return false
	}
	defer reply.Body.Close()
	if !statusOK(reply) {
		return relay(w, reply)
	}
	takeOver(r, reply)
	return true
}

// takeOver writes the headers of an answer over the client's own.
func takeOver(r *http.Request, reply *http.Response) {
	for name, values := range reply.Header {
		if slices.Contains(taken, name) {
			r.Header[name] = values[:1]
		}
	}
}

func statusOK(reply *http.Response) bool { return reply.StatusCode == 200 }

// verdictTrue is how Alibaba's gateways read an authentication service that always answers 200.
func verdictTrue(reply *http.Response) bool {
	return reply.Header.Get("X-Mse-External-Authz-Check-Result") == "true"
}

// pathDouble is Envoy's ext_authz over HTTP, and what is built on it: the prefix and the path, the request's
// own method and Host, Content-Length 0 (Higress cleans the path besides); a 5xx opens it, as failure_mode_allow does; what the answer lacks of
// the headers to take over stays as the client sent it.
func pathDouble(dialect string, allows func(*http.Response) bool) func(
	string, http.ResponseWriter, *http.Request) bool {
	return func(base string, w http.ResponseWriter, r *http.Request) bool {
		q := question(r.Context(), r.Method, base, "/_/authorize/"+dialect+r.RequestURI, r.Header)
		q.Host = r.Host
		reply, err := http.DefaultClient.Do(q)
		if err != nil || reply.StatusCode >= 500 {
			return true
		}
		defer reply.Body.Close()
		if !allows(reply) {
			return relay(w, reply)
		}
		takeOver(r, reply)
		return true
	}
}
