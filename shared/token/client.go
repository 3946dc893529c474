package token

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// unknownClient stands in the log for a client that was not found: a caller's text is not copied there.
const unknownClient = "unknown"

// proof is how a client authenticates in one request: its id, and what shall prove it.
type proof struct {
	method      string // of oauth.ClientAuthenticationMethods, or oauth.FederatedIdentity
	id          string
	secrets     []string          // one, or two where Basic can be read in two ways
	assertion   *assertion        // of every method that sends one
	certificate *x509.Certificate // of the two TLS methods
}

// readProof finds the one credential of a request (RFC 6749 §2.3). A certificate is a credential where nothing else is:
// a domain of mutual TLS has one on every connection.
func (e *endpoint) readProof(r *http.Request, f form) (proof, reason) {
	certificate := e.certificateOf(r)
	headers := r.Header["Authorization"]
	inBody, asserted := f.one(paramClientSecret) != "", f.one(paramAssertion) != ""
	if len(headers) > 1 || count(len(headers) == 1, inBody, asserted) > 1 {
		return proof{}, manyProofs
	}
	id := f.one(paramClientID)
	switch {
	case asserted != (f.one(paramAssertionType) != ""):
		return proof{}, badAssertion
	case asserted:
		_, endpoint, _ := placeOf(r.URL.EscapedPath())
		return readAssertion(f, endpoint)
	case len(headers) == 1:
		p, ok := parseBasic(headers[0])
		if !ok {
			return proof{}, badClient
		}
		if id != "" && id != p.id {
			return proof{}, clientDiffers
		}
		return p, none
	case inBody && id != "":
		return proof{method: oauth.ClientSecretPost, id: id, secrets: []string{f.one(paramClientSecret)}}, none
	case certificate != nil && id != "" && !inBody:
		return proof{method: oauth.TLSClientAuth, id: id, certificate: certificate}, none
	}
	return proof{}, noProof
}

func count(facts ...bool) int {
	n := 0
	for _, fact := range facts {
		if fact {
			n++
		}
	}
	return n
}

// parseBasic reads "Basic base64(id:secret)". RFC 6749 §2.3.1 form-encodes each half, and half of the clients
// do not: the secret may be either reading. An id has one reading, for it needs no encoding.
func parseBasic(header string) (proof, bool) {
	scheme, encoded, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Basic") { // RFC 9110 §11.1: case-insensitive
		return proof{}, false
	}
	if strings.ContainsAny(encoded, "\r\n") { // which the decoder would skip
		return proof{}, false
	}
	text, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return proof{}, false
	}
	rawID, rawSecret, found := strings.Cut(string(text), ":")
	id, err := url.QueryUnescape(rawID)
	if !found || err != nil || id == "" || rawSecret == "" {
		return proof{}, false
	}
	p := proof{method: oauth.ClientSecretBasic, id: id, secrets: []string{rawSecret}}
	if decoded, err := url.QueryUnescape(rawSecret); err == nil && decoded != rawSecret && decoded != "" {
		p.secrets = []string{decoded, rawSecret}
	}
	return p, true
}

// authenticate proves the client. Whoever it is not, and for whatever cause, gets one refusal: badClient, or throttled
// where that happened too often; then w has Retry-After. One round trip where a secret or a certificate proves, one more
// to use an assertion up, and one more to count a failure.
func (e *endpoint) authenticate(
	w http.ResponseWriter, r *http.Request, instance string, p proof,
) (*registry.Client, *registry.Snapshot, reason, error) {
	suspect := e.suspect(r, instance, p.id)
	if wait := e.blocked(suspect); wait > 0 {
		return nil, nil, throttle(w, wait), nil
	}
	client, snapshot, refused, err := e.prove(r.Context(), instance, p)
	if err == nil && refused == badClient {
		if wait := e.failed(r.Context(), suspect); wait > 0 {
			refused = throttle(w, wait)
		}
	}
	return client, snapshot, refused, err
}

// prove finds the client and judges its proof.
func (e *endpoint) prove(
	ctx context.Context, instance string, p proof,
) (*registry.Client, *registry.Snapshot, reason, error) {
	client, snapshot, err := e.find(ctx, instance, p.id)
	if err != nil {
		return nil, nil, none, fmt.Errorf("find a client of %s: %w", instance, err)
	}
	if snapshot.Instances[instance] == nil {
		return nil, nil, noSuchInstance, nil
	}
	if len(snapshot.Pepper) == 0 {
		return nil, nil, none, errors.New("no pepper in the registry: apply the configuration with " +
			"KEYLESS_MASTER_KEY set, and start this function with the same")
	}
	id := unknownClient
	if client != nil {
		id = client.ID
	}
	note(ctx, slog.String("client_id", id), slog.String("client_authentication", p.method))
	if client == nil || !client.Status.On() || !takes(client, p.method) {
		client = nil // nobody's proof costs what somebody's does
	}
	proven, err := e.proves(ctx, snapshot, instance, client, p)
	if err != nil {
		return nil, nil, none, fmt.Errorf("authenticate a client of %s by %s: %w", instance, p.method, err)
	}
	if client == nil || !proven {
		return nil, nil, badClient, nil
	}
	return client, snapshot, none, nil
}

// proves judges by the method. The client is nil where there is none, it is disabled or does not use the method; the
// work is the same then.
func (e *endpoint) proves(
	ctx context.Context, s *registry.Snapshot, instance string, client *registry.Client, p proof,
) (bool, error) {
	c := client
	if c == nil {
		c = &registry.Client{Instance: instance}
	}
	switch p.method {
	case oauth.ClientSecretBasic, oauth.ClientSecretPost:
		secret := provesSecret(s.Pepper, instance, c, p.secrets, e.now())
		e.used(ctx, instance, client, secret)
		return secret != "", nil
	case oauth.ClientSecretJWT:
		return e.provesSecretJWT(ctx, instance, c, p.assertion)
	case oauth.PrivateKeyJWT:
		return e.provesKeyJWT(ctx, s, instance, c, p.assertion)
	case oauth.FederatedIdentity:
		return e.provesIdentity(ctx, s, instance, c, p.assertion)
	}
	return e.provesCertificate(ctx, s, c, p.certificate)
}

// find looks a client up. The id of a stored client is that of its place.
func (e *endpoint) find(
	ctx context.Context, instance, id string,
) (*registry.Client, *registry.Snapshot, error) {
	if !oauth.ValidName(id) { // nobody's, and never part of a Redis key
		snapshot, err := e.reader.Snapshot(ctx)
		return nil, snapshot, err
	}
	client, snapshot, err := e.reader.Client(ctx, instance, id)
	if client != nil && client.ID != id {
		return nil, nil, fmt.Errorf("the entry of client %s names another", id)
	}
	return client, snapshot, err
}

// takes reports whether the client is registered for the method (RFC 7591 §2). A certificate may serve either of the
// two methods of RFC 8705.
func takes(client *registry.Client, method string) bool {
	switch {
	case len(client.Authentication) == 0:
		return method == oauth.ClientSecretBasic || method == oauth.ClientSecretPost
	case method == oauth.TLSClientAuth && slices.Contains(client.Authentication, oauth.SelfSignedTLSClientAuth):
		return true
	}
	return slices.Contains(client.Authentication, method)
}
