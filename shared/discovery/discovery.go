// Package discovery tells verifiers and clients what an instance is: its JWK Set, and its self-description
// under the three names by which clients ask for it. It exists so that no key is ever copied by hand, which
// is what breaks at the next rotation.
//
// How a request meets it: the path names a document and an instance, the document is made from the Snapshot,
// and it goes out with an ETag and an age. The Snapshot in memory serves while the store is away. Private
// keys are nowhere near: the set was published by keyring, and the registry refuses private members.
//
// Sources: RFC 7517 §5, §8.5 (JWK Set); RFC 8414 §2, §3 (metadata); OpenID Connect Discovery 1.0 §3, §4;
// RFC 9110 §8.8.3, §13 (ETag). Nothing outlives its request. The handler is safe for concurrent use.
package discovery

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"keyless/shared/accesslog"
	"keyless/shared/oauth"
	"keyless/shared/registry"
)

const (
	// cacheFor is how long others may keep a document. A new key is published an hour before it signs, so
	// that several such periods pass; and a key that had to be taken back verifies for no longer than this.
	cacheFor = "public, max-age=300"
	// retryAfter is in seconds: a store that changes over is back within it.
	retryAfter = "1"
	// codeNotFound is no code of the RFCs.
	codeNotFound = "not_found"
)

// Options of the documents.
type Options struct {
	Reader interface {
		Current(ctx context.Context) (*registry.Snapshot, error)
	}
	PublicURL string // scheme and host: the base of every issuer and of the JWK Set's URL
	TokenURL  string // base of the token endpoint, if elsewhere
}

type documents struct {
	Options
}

// New makes the handler of all documents. Every other path is 404.
func New(o Options) http.Handler {
	o.PublicURL = strings.TrimSuffix(o.PublicURL, "/")
	o.TokenURL = strings.TrimSuffix(o.TokenURL, "/")
	if o.TokenURL == "" {
		o.TokenURL = o.PublicURL
	}
	return &documents{o}
}

// The paths, judged as they were sent, around the instance. RFC 8414 §3.1 puts the well-known name between host and path, OpenID
// Connect Discovery §4 behind the path.
var (
	keySetPath   = [2]string{"/", "/oauth2/jwks"}
	metadataPath = [][2]string{
		{"/", "/oauth2/.well-known/openid-configuration"},
		{"/.well-known/openid-configuration/", "/oauth2"},
		{"/.well-known/oauth-authorization-server/", "/oauth2"},
	}
)

// authorizePath is that of the endpoint at which nobody signs in.
var authorizePath = [2]string{"/", "/oauth2/authorize"}

// unsupportedResponseType is the error of RFC 6749 §4.1.2.1. It goes to whoever asked: no redirect URI is known to be anybody's.
const unsupportedResponseType = "unsupported_response_type"

// ServeHTTP answers GET and HEAD of a document.
func (d *documents) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, is := between(r.URL.EscapedPath(), authorizePath); is {
		refuse(w, r, http.StatusBadRequest, unsupportedResponseType,
			"Nobody signs in here: machines get their tokens at the token endpoint, by the grant client_credentials.")
		return
	}
	name, isKeySet := find(r.URL.EscapedPath())
	if name == "" {
		refuse(w, r, http.StatusNotFound, codeNotFound, "There is no document at this path.")
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, r, http.StatusMethodNotAllowed, oauth.InvalidRequest, "A document takes GET and HEAD only.")
		return
	}
	snapshot, err := d.Reader.Current(r.Context())
	if err != nil {
		unavailable(w, r, fmt.Errorf("read the registry: %w", err))
		return
	}
	if snapshot.Instances[name] == nil {
		refuse(w, r, http.StatusNotFound, codeNotFound, "There is no instance of this name.")
		return
	}
	accesslog.Add(r.Context(), slog.String("instance", name))
	if isKeySet {
		serveKeySet(w, r, snapshot.KeySets[name], name)
		return
	}
	text, err := json.Marshal(d.metadata(snapshot, name))
	if err != nil {
		unavailable(w, r, fmt.Errorf("write the metadata of %s: %w", name, err))
		return
	}
	serve(w, r, "application/json", text)
}

// find returns the instance that a path names, "" where it names no document.
func find(path string) (string, bool) {
	if instance, ok := between(path, keySetPath); ok {
		return instance, true
	}
	for _, form := range metadataPath {
		if instance, ok := between(path, form); ok {
			return instance, false
		}
	}
	return "", false
}

func between(path string, form [2]string) (string, bool) {
	rest, before := strings.CutPrefix(path, form[0])
	instance, after := strings.CutSuffix(rest, form[1])
	return instance, before && after && oauth.ValidInstance(instance)
}

// serveKeySet answers with the set as keyring published it. An empty one is never sent: verifiers would
// forget the keys they have.
func serveKeySet(w http.ResponseWriter, r *http.Request, keys *registry.KeySet, name string) {
	if keys == nil || len(keys.Keys) == 0 {
		unavailable(w, r, fmt.Errorf("instance %s has no signing key: run keyless apply, which makes one", name))
		return
	}
	serve(w, r, "application/jwk-set+json", keys.JWKS)
}

// metadata says what is on, and nothing else: no response type, for nobody signs in here. OpenID clients and the MCP SDK want an
// authorization endpoint all the same, so there is one, and it says so. OpenID clients ask for the members on subjects and ID tokens too,
// and read the latter as what signs our tokens.
func (d *documents) metadata(snapshot *registry.Snapshot, name string) oauth.Metadata {
	base := "/" + name + "/oauth2"
	return oauth.Metadata{
		Issuer:                            d.PublicURL + base,
		AuthorizationEndpoint:             d.PublicURL + base + "/authorize",
		TokenEndpoint:                     d.TokenURL + base + "/token",
		JWKSURI:                           d.PublicURL + base + "/jwks",
		ScopesSupported:                   scopes(snapshot.Instances[name]),
		ResponseTypesSupported:            []string{},
		GrantTypesSupported:               grants(snapshot.Instances[name]),
		TokenEndpointAuthMethodsSupported: oauth.ClientAuthenticationMethods,
		TokenEndpointAuthSigningAlgs:      oauth.AssertionAlgorithms,
		SubjectTypesSupported:             []string{"public"},
		IDTokenSigningAlgValuesSupported:  algorithms(snapshot.KeySets[name]),
		ClaimsSupported: []string{
			"iss", "sub", "aud", "client_id", "scope", "iat", "nbf", "exp", "jti", "cnf", "act",
		},
		IntrospectionEndpoint:            d.TokenURL + base + "/introspect",
		IntrospectionEndpointAuthMethods: oauth.ClientAuthenticationMethods,
		IntrospectionEndpointSigningAlgs: oauth.AssertionAlgorithms,
		RevocationEndpoint:               d.TokenURL + base + "/revoke",
		RevocationEndpointAuthMethods:    oauth.ClientAuthenticationMethods,
		RevocationEndpointSigningAlgs:    oauth.AssertionAlgorithms,
		CertificateBoundAccessTokens:     true,
		DPoPSigningAlgs:                  oauth.DPoPAlgorithms,
		ProtectedResources:               d.resources(snapshot, name),
	}
}

// scopes lists the values that the enabled resource servers offer, each once, sorted.
func scopes(instance *registry.Instance) []string {
	values := []string{}
	for _, server := range instance.ResourceServers {
		if !server.Status.On() {
			continue
		}
		for _, scope := range server.Scopes {
			values = append(values, scope.Value)
		}
	}
	slices.Sort(values)
	return slices.Compact(values)
}

// grants is empty where M2M is off: no token is issued then. Which client may exchange tokens stands with the client.
func grants(instance *registry.Instance) []string {
	if !instance.M2M.On() {
		return []string{}
	}
	return []string{oauth.GrantClientCredentials, oauth.GrantTokenExchange}
}

// algorithms lists what the published keys sign with, each once, sorted.
func algorithms(keys *registry.KeySet) []string {
	list := []string{}
	if keys != nil {
		for _, key := range keys.Keys {
			list = append(list, key.Algorithms...)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// serve sends a document with its age and a strong ETag; ServeContent answers 304 and HEAD.
func serve(w http.ResponseWriter, r *http.Request, kind string, text []byte) {
	sum := sha256.Sum256(text)
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", cacheFor)
	w.Header().Set("ETag", `"`+base64.RawURLEncoding.EncodeToString(sum[:])+`"`)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
}

// unavailable answers for a failure of ours; the reason stands in the request's line of the log only.
func unavailable(w http.ResponseWriter, r *http.Request, err error) {
	accesslog.Add(r.Context(), slog.String("reason", err.Error()))
	w.Header().Set("Retry-After", retryAfter)
	refuse(w, r, http.StatusServiceUnavailable, oauth.TemporarilyUnavailable,
		"This document cannot be read at present. Try again later.")
}

func refuse(w http.ResponseWriter, r *http.Request, status int, code, sentence string) {
	accesslog.Add(r.Context(), slog.String("error", code))
	text, err := json.Marshal(oauth.Error{
		Code: code, Description: sentence, RequestID: accesslog.RequestID(r),
	})
	if err != nil {
		panic("discovery: an answer of ours is not JSON") // its members are strings
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(text) // the caller may be gone
}
