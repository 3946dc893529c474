package registry

import (
	"net/http"
	"net/url"
	"strings"

	"keyless/shared/seal"
)

// Revocation is the digest under which the revocation of one token of ours is remembered.
func Revocation(issuer, tokenID string) string { return seal.Digest("revoked token", issuer, tokenID) }

// Revoked is the memory of a revocation.
func (s Space) Revoked(digest string) string { return string(s) + ":{r:" + digest + "}" }

// APIOf finds the published API whose URL a resource indicator is (RFC 8707 §2, RFC 9728 §1.2): scheme of the public URL, a host of the
// API, its base path exactly but for a slash at the end. The port does not count, as in Domain. Nil where there is none.
func (s *Snapshot) APIOf(publicURL, resource string) *API {
	u, err := url.Parse(resource)
	public, publicErr := url.Parse(publicURL)
	if err != nil || publicErr != nil || !strings.EqualFold(u.Scheme, public.Scheme) || u.Host == "" || u.User != nil ||
		u.RawQuery != "" || u.ForceQuery || strings.Contains(resource, "#") {
		return nil
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	route, err := s.Route(&http.Request{Method: http.MethodGet, Host: u.Host, URL: &url.URL{Path: u.Path, RawPath: u.RawPath}})
	if err != nil || route.API == nil || path != strings.TrimSuffix(route.API.BasePath, "/") {
		return nil
	}
	return route.API
}
