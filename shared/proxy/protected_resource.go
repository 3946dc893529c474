package proxy

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// resourcePath is where a client that knows an MCP server's URL finds who issues tokens for it (RFC 9728 §3.1): this path stands between
// host and path. On every host it is ours.
const resourcePath = "/.well-known/oauth-protected-resource"

// resourceFor is how long others may keep the document, as those of an instance.
const resourceFor = "public, max-age=300"

// protectedResource is the document (RFC 9728 §2).
type protectedResource struct {
	Resource             string   `json:"resource"`
	AuthorizationServers []string `json:"authorization_servers,omitempty"`
	ScopesSupported      []string `json:"scopes_supported,omitempty"`
	BearerMethods        []string `json:"bearer_methods_supported"`
	DPoPAlgorithms       []string `json:"dpop_signing_alg_values_supported"`
	Name                 string   `json:"resource_name"`
}

var (
	noResource = refusal{status: http.StatusNotFound, code: "not_found", message: "No MCP API has this host and path"}
	readsOnly  = refusal{status: http.StatusMethodNotAllowed, code: "method_not_allowed",
		message: "A document takes GET and HEAD only"}
)

// asksResource reports whether a request is for such a document.
func asksResource(r *http.Request) bool {
	rest, is := strings.CutPrefix(r.URL.EscapedPath(), resourcePath)
	return is && (rest == "" || rest[0] == '/')
}

// serveResource answers with the document of the published MCP API at the host and path that follow. It is no call: nothing is asked of
// who reads it, and nothing counted. Pages of any origin may, with whatever header MCP's clients send along.
func (p *proxy) serveResource(c *call) {
	h := c.w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	switch c.in.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		h.Set("Access-Control-Allow-Methods", "GET, HEAD")
		h.Set("Access-Control-Allow-Headers", "*")
		h.Set("Access-Control-Max-Age", preflightAge)
		h.Set("Allow", "GET, HEAD, OPTIONS")
		c.begin(http.StatusNoContent)
		return
	default:
		h.Set("Allow", "GET, HEAD, OPTIONS")
		c.refuse(readsOnly)
		return
	}
	known, err := p.Reader.Current(c.in.Context())
	if err != nil {
		c.refuse(failed(c, err))
		return
	}
	text := p.resourceAt(known, c.in)
	if text == nil {
		c.refuse(noResource)
		return
	}
	sum := sha256.Sum256(text)
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", resourceFor)
	h.Set("ETag", `"`+base64.RawURLEncoding.EncodeToString(sum[:])+`"`)
	h.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(c.w, c.in, "", time.Time{}, bytes.NewReader(text))
}

// resourceAt writes the document that a request asks for; nil for none. The resource is the URL by which clients of this host name the
// API and by which the token endpoint knows it, with the public URL's scheme; at a host that is not ours for certain there is none. Who
// issues tokens are the instances that do so now, for a resource server that is enabled.
func (p *proxy) resourceAt(known *registry.Snapshot, r *http.Request) []byte {
	public := strings.TrimSuffix(p.PublicURL, "/")
	scheme, _, isURL := strings.Cut(public, "://")
	if !isURL {
		return nil
	}
	origin := scheme + "://" + r.Host
	api := known.APIOf(public, origin+strings.TrimPrefix(r.URL.EscapedPath(), resourcePath))
	if api == nil || api.Type != registry.MCP {
		return nil
	}
	path := strings.TrimSuffix(api.BasePath, "/")
	if path == "" {
		path = "/" // RFC 3986 §6.2.3: an origin is written with it
	}
	document := protectedResource{
		Resource: origin + path, ScopesSupported: api.Scopes, BearerMethods: []string{"header"},
		DPoPAlgorithms: oauth.DPoPAlgorithms, Name: api.Name,
	}
	for _, name := range slices.Sorted(maps.Keys(known.Instances)) {
		in := known.Instances[name]
		server := in.ResourceServer(api.ResourceServer)
		if api.ResourceServer != "" && server != nil && server.Status.On() && in.M2M.On() {
			document.AuthorizationServers = append(document.AuthorizationServers, public+"/"+name+"/oauth2")
		}
	}
	text, _ := json.Marshal(document) // strings always marshal
	return text
}
