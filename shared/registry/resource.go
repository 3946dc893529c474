package registry

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"keyless/shared/seal"
)

// Revocation is the digest under which the revocation of one token of ours is remembered.
func Revocation(issuer, tokenID string) string { return seal.Digest("revoked token", issuer, tokenID) }

// Revoked is the memory of a revocation.
func (s Space) Revoked(digest string) string { return string(s) + ":{r:" + digest + "}" }

// APIOf finds the published API whose URL a resource indicator is (RFC 8707 §2, RFC 9728 §1.2): scheme of the public URL, a host that is
// ours for certain (see OurHost), its base path exactly but for a slash at the end. Nil where there is none.
func (s *Snapshot) APIOf(publicURL, resource string) *API {
	scheme, _, _ := strings.Cut(publicURL, "://")
	if named, _, is := strings.Cut(resource, "://"); !is || !strings.EqualFold(named, scheme) {
		return nil
	}
	u, err := url.Parse(resource)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(resource, "#") ||
		!s.OurHost(publicURL, u.Host) {
		return nil
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	route, err := s.Route(&http.Request{Method: http.MethodGet, Host: u.Host, URL: &url.URL{Path: u.Path, RawPath: u.RawPath}})
	if err != nil || route.API == nil || path != strings.TrimSuffix(route.API.BasePath, "/") {
		return nil
	}
	return route.API
}

// OurHost reports whether a Host value is one by which we know ourselves: that of the public URL, port and all, or one of a domain with
// a name, at the scheme's own port or that of the public URL. The default domain takes every other host too, and a call under one goes
// its way, but what the host says of itself proves nothing. Of a public URL on loopback every name of loopback is as good.
func (s *Snapshot) OurHost(publicURL, host string) bool {
	public, err := url.Parse(publicURL)
	if err != nil || public.Host == "" || host == "" {
		return false
	}
	ours, asked := withPort(public.Scheme, public.Host), withPort(public.Scheme, host)
	if ours == asked {
		return true
	}
	name, port, err := net.SplitHostPort(asked)
	oursName, oursPort, oursErr := net.SplitHostPort(ours)
	if err != nil || oursErr != nil {
		return false
	}
	if s.Domain(host).Name == DefaultDomain {
		return port == oursPort && loopback(name) && loopback(oursName)
	}
	return port == oursPort || port == portOf(public.Scheme)
}

// withPort is a host with its port, which is the scheme's where none is written, as Domain compares hosts.
func withPort(scheme, host string) string {
	name, port := host, portOf(scheme)
	if h, p, err := net.SplitHostPort(host); err == nil {
		name = h
		if p != "" {
			port = p
		}
	}
	return net.JoinHostPort(lower(strings.TrimSuffix(strings.Trim(name, "[]"), ".")), port)
}

// portOf is the port of a URL of the scheme that writes none.
func portOf(scheme string) string {
	if strings.EqualFold(scheme, "http") {
		return "80"
	}
	return "443"
}

// loopback reports whether a host's name is this machine.
func loopback(name string) bool {
	address, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && address.IsLoopback()
}
