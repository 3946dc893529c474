// Package token is the token endpoint of an instance: POST /{instance}/oauth2/token. It exists so that a
// machine that proves itself gets a short-lived access token for one resource server, and nothing else gets one. Beside
// it stand /introspect, where a resource server asks about a token, and /revoke, where a client gives its own back.
//
// A request meets it once: the form is read strictly (form.go), the client proves itself (client.go) by a secret, by
// an assertion that it signs (assertion.go), by an identity that somebody else issues (federated.go) or by a
// certificate (certificate.go), what it asks for is compared with what it was granted (scope.go), or with that and the
// token that it exchanges (exchange.go), and a token is minted with the instance's active signing key (mint.go). The two
// other endpoints judge a token of ours (own_token.go). A refusal is a value of errors.go; a failure of ours is an
// error, which the caller sees as 503 and the log sees in words.
//
// Sources: RFC 6749 §2.3.1, §3.2, §4.4, §5; RFC 8707 §2 (resource); RFC 9068 (access token); RFC 6750; RFC 7521,
// 7523 (assertions); RFC 8705 (certificates); RFC 9449 (DPoP); RFC 7009 (revocation); RFC 7662 (introspection);
// RFC 8693 (exchange).
// Nothing outlives its request. The handler is safe for concurrent use.
package token

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"keyless/shared/accesslog"
	"keyless/shared/config"
	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// Registry is what the endpoint reads; *registry.Reader satisfies it.
type Registry interface {
	// Snapshot returns the one at hand; it may be old. No round trip in a warm process.
	Snapshot(ctx context.Context) (*registry.Snapshot, error)
	// Current asks the store, at most once a second, whether that is the newest.
	Current(ctx context.Context) (*registry.Snapshot, error)
	// Client reads a client as it is now, nil where there is none, with the Snapshot of the same revision.
	Client(ctx context.Context, instance, id string) (*registry.Client, *registry.Snapshot, error)
}

// Signer makes a compact JWS with the header alg, kid, typ "at+jwt"; *keyring.Ring satisfies it.
type Signer interface {
	Sign(ctx context.Context, instance, kid string, payload []byte) (string, error)
}

// LastUse notes when secrets are used; *registry.Reader satisfies it.
type LastUse interface {
	// SecretUsed notes that a secret proved a client just now. At most one round trip, seldom.
	SecretUsed(ctx context.Context, instance, client, secret string) error
}

// Options of the endpoint. Reader, Signer and PublicURL are required; Keys, Nonces and Secrets are by what clients use.
type Options struct {
	Reader    Registry
	Signer    Signer
	PublicURL string           // scheme and host: the issuer is PublicURL/{instance}/oauth2
	TokenURL  string           // base of the endpoint where that is not PublicURL: an assertion's audience
	Now       func() time.Time // nil: time.Now
	Log       *slog.Logger     // nil: slog.Default

	Keys     KeySource      // of clients and issuers: for assertions and certificates
	Nonces   Nonces         // for assertions and DPoP proofs, which are used once; without it they are a failure
	Secrets  Secrets        // for client_secret_jwt
	LastUse  LastUse        // nil: nobody wants to know
	Failures Failures       // nil: failures are not limited
	Proxies  config.Proxies // whose X-Client-Cert and X-Forwarded-For are believed; nil: nobody's

	Revocations Revocations // of tokens; without it introspecting, revoking and exchanging one of ours are a failure
}

type endpoint struct {
	reader Registry
	signer Signer
	public string
	now    func() time.Time
	log    *slog.Logger

	tokenURL string
	keys     KeySource
	nonces   Nonces
	secrets  Secrets
	lastUse  LastUse
	failures Failures
	proxies  config.Proxies
	blocks   blocks

	revocations    Revocations
	introspections introspections
}

// New makes the handler. Everything else than the three paths of an instance is 404.
func New(o Options) http.Handler {
	e := &endpoint{
		reader: o.Reader, signer: o.Signer, public: strings.TrimSuffix(o.PublicURL, "/"), now: o.Now, log: o.Log,
		tokenURL: strings.TrimSuffix(o.TokenURL, "/"),
		keys:     o.Keys, nonces: o.Nonces, secrets: o.Secrets, failures: o.Failures, proxies: o.Proxies,
		lastUse: o.LastUse, revocations: o.Revocations,
	}
	if e.tokenURL == "" {
		e.tokenURL = e.public
	}
	if e.now == nil {
		e.now = time.Now
	}
	if e.log == nil {
		e.log = slog.Default()
	}
	return e
}

// The endpoints of an instance, as they stand behind /{instance}/oauth2/.
const (
	endpointToken      = "token"
	endpointIntrospect = "introspect"
	endpointRevoke     = "revoke"
)

// placeOf judges a path as it was sent: what needs decoding or cleaning is another path, and is never redirected.
func placeOf(path string) (instance, endpoint string, found bool) {
	instance, endpoint, found = strings.Cut(strings.TrimPrefix(path, "/"), "/oauth2/")
	known := endpoint == endpointToken || endpoint == endpointIntrospect || endpoint == endpointRevoke
	return instance, endpoint, found && known && oauth.ValidInstance(instance)
}

// ServeHTTP answers a request: RFC 6749 §4.4.2 and §5, RFC 7662 §2, RFC 7009 §2.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	instance, endpoint, found := placeOf(r.URL.EscapedPath())
	if !found {
		e.refuse(w, r, noSuchPath)
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		e.refuse(w, r, notPost)
		return
	}
	answer, refused, err := e.answer(w, r, instance, endpoint)
	switch {
	case err != nil:
		e.fail(w, r, err)
	case refused != none:
		e.refuse(w, r, refused)
	case endpoint == endpointRevoke:
		writeNothing(w)
	default:
		writeJSON(w, http.StatusOK, answer)
	}
}

// answer goes to the story of the endpoint.
func (e *endpoint) answer(w http.ResponseWriter, r *http.Request, instance, endpoint string) (any, reason, error) {
	switch endpoint {
	case endpointIntrospect:
		return e.introspect(w, r, instance)
	case endpointRevoke:
		refused, err := e.revoke(w, r, instance)
		return nil, refused, err
	}
	return e.issue(w, r, instance)
}

// caller is a client that has proven itself, and what it sent.
type caller struct {
	form     form
	proof    proof
	client   *registry.Client
	snapshot *registry.Snapshot
}

// caller reads the form and proves the client, at each endpoint alike.
func (e *endpoint) caller(w http.ResponseWriter, r *http.Request, instance string) (caller, reason, error) {
	known, err := e.known(r.Context(), instance)
	if err != nil {
		return caller{}, none, err
	}
	if !known {
		return caller{}, noSuchInstance, nil
	}
	note(r.Context(), slog.String("instance", instance))
	form, refused := readForm(w, r)
	if refused != none {
		return caller{}, refused, nil
	}
	if _, endpoint, _ := placeOf(r.URL.EscapedPath()); endpoint == endpointToken {
		if refused := form.grant(); refused != none {
			return caller{}, refused, nil
		}
	}
	proof, refused := e.readProof(r, form)
	if refused != none {
		return caller{}, refused, nil
	}
	client, snapshot, refused, err := e.authenticate(w, r, instance, proof)
	return caller{form, proof, client, snapshot}, refused, err
}

// issue is the story of a token request.
func (e *endpoint) issue(
	w http.ResponseWriter, r *http.Request, instance string,
) (*oauth.TokenResponse, reason, error) {
	sent, refused, err := e.sentDPoP(w, r)
	if err != nil || refused != none {
		return nil, refused, err
	}
	c, refused, err := e.caller(w, r, instance)
	if err != nil || refused != none {
		return nil, refused, err
	}
	proof, client, snapshot := c.proof, c.client, c.snapshot
	if !snapshot.Instances[instance].M2M.On() {
		return nil, m2mDisabled, nil
	}
	grant, refused, err := e.grant(r.Context(), instance, c)
	if err != nil || refused != none {
		return nil, refused, err
	}
	note(r.Context(), slog.String("resource_server", grant.server.Identifier),
		slog.Int("scopes", len(grant.scopes)))
	key, refused, err := e.dpopKey(w, r, instance, c, sent)
	if err != nil || refused != none {
		return nil, refused, err
	}
	bound := bindTo(proof.confirmation(), key)
	answer, err := e.mint(r.Context(), snapshot, instance, client.ID, grant, bound)
	return answer, none, err
}

// known reports whether the instance exists; only where it seems not to is the store asked.
func (e *endpoint) known(ctx context.Context, instance string) (bool, error) {
	snapshot, err := e.reader.Snapshot(ctx)
	if err == nil && snapshot.Instances[instance] == nil {
		snapshot, err = e.reader.Current(ctx)
	}
	if err != nil {
		return false, fmt.Errorf("find instance %s: %w", instance, err)
	}
	return snapshot.Instances[instance] != nil, nil
}

// refuse answers with the entry of the table.
func (e *endpoint) refuse(w http.ResponseWriter, r *http.Request, why reason) {
	note(r.Context(), slog.String("error", answers[why].code), slog.String("reason", string(why)))
	if answers[why].status == http.StatusUnauthorized {
		// RFC 6749 §5.2 asks for it where Authorization was sent, RFC 9110 §15.5.2 on every 401.
		instance, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		w.Header().Set("WWW-Authenticate", oauth.Challenge("Basic", "realm", instance))
	}
	write(w, r, answers[why])
}

// fail logs what went wrong and tells the caller only that it may come again.
func (e *endpoint) fail(w http.ResponseWriter, r *http.Request, err error) {
	why := unavailable
	if isTooLong(err) {
		why = tooLong
	} else {
		w.Header().Set("Retry-After", retryAfter)
	}
	e.log.LogAttrs(r.Context(), slog.LevelError, "no token issued",
		slog.String("reason", err.Error()), slog.String("request_id", accesslog.RequestID(r)))
	note(r.Context(), slog.String("error", answers[why].code), slog.String("reason", string(why)))
	write(w, r, answers[why])
}

// write answers with a refusal and the request's id, which is beyond the RFC, as Alibaba IDaaS sends it.
func write(w http.ResponseWriter, r *http.Request, a answer) {
	writeJSON(w, a.status, oauth.Error{
		Code: a.code, Description: a.sentence, RequestID: accesslog.RequestID(r),
	})
}

// writeNothing answers that what was asked is done (RFC 7009 §2.2).
func writeNothing(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
}

// writeJSON answers as RFC 6749 §5.1 says, errors too. There is no CORS header: no web page
// asks for such a token.
func writeJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		panic("token: an answer of ours is not JSON") // its members are strings and numbers
	}
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	w.WriteHeader(status)
	_, _ = w.Write(text) // the caller may be gone
}

// note adds facts to the request's line in the log; none of them is a secret or chosen by the caller.
func note(ctx context.Context, attrs ...slog.Attr) { accesslog.Add(ctx, attrs...) }
