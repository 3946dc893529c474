package proxy

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"keyless/shared/registry"
)

// endpointEvent is the name of the event in which a server of the older transport says where messages go.
const endpointEvent = "endpoint"

// errEndpoint is of the older transport: the client would post past the gateway, or nowhere.
var errEndpoint = errors.New("the server names a URL for messages that does not lie below the upstream's base_url, or is not canonical")

// endpointDown rewrites the URL that a server of the older transport (HTTP+SSE, 2024-11-05) names for messages, so that they come back
// through the gateway: the path below the upstream's base URL stands below the API's base path. Scheme and host are passed over, for
// servers name what they believe to be called; nothing is ever sent there. Other characters stay as they are. What the gateway would not
// take back is not passed on, least of all a path that begins with two slashes: to a client that is another host.
func (c *call) endpointDown(x *exchange, data []byte) ([]byte, error) {
	named, err := url.Parse(strings.TrimSpace(string(data)))
	base, baseErr := url.Parse(x.upstream.BaseURL)
	// Resolvers differ on what a dot segment before an empty one leaves.
	if err != nil || baseErr != nil || named.Opaque != "" || strings.Contains(named.EscapedPath(), "//") {
		return nil, errEndpoint
	}
	at := x.Request.URL.ResolveReference(named)
	root := strings.TrimSuffix(base.EscapedPath(), "/")
	path := at.EscapedPath()
	if !registry.Under(path, root) {
		return nil, errEndpoint
	}
	path = path[len(root):]
	if api := c.route.API; api.StripBasePath {
		path = strings.TrimSuffix(api.BasePath, "/") + path
	} else if !registry.Under(path, api.BasePath) {
		return nil, errEndpoint
	}
	if path == "" {
		path = "/"
	}
	if !isCanonical(path) {
		return nil, errEndpoint
	}
	if at.RawQuery != "" {
		path += "?" + c.sessionQueryDown(at.RawQuery)
	}
	return []byte(path), nil
}

// isCanonical reports whether the gateway takes a path as it stands, by the rules for what it is sent.
func isCanonical(path string) bool {
	decoded, err := url.PathUnescape(path)
	if err != nil {
		return false
	}
	_, err = registry.CanonicalPath(&http.Request{URL: &url.URL{Path: decoded, RawPath: path}})
	return err == nil
}

// sessionQueryDown binds the sessions that a query names. Without the pepper nothing can be bound: the id that goes out opens nothing.
func (c *call) sessionQueryDown(query string) string {
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		value, isSession := sessionIn(pair)
		id, err := url.QueryUnescape(value)
		if !isSession || err != nil || len(c.known.Pepper) == 0 {
			continue
		}
		name, _, _ := strings.Cut(pair, "=")
		pairs[i] = name + "=" + c.tag(id) + "." + value
	}
	return strings.Join(pairs, "&")
}
