package token

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"keyless/shared/oauth"
	"keyless/shared/registry"
	"keyless/shared/seal"
)

// maxSecrets is how many secrets a client has at most, and how many are checked for every request, so that a
// client which does not exist costs the same work as one that does.
const maxSecrets = 2

// unknownClient stands in the log for a client that was not found: a caller's text is not copied there.
const unknownClient = "unknown"

// proof is the credential of a client: an id, and what its secret may be.
type proof struct {
	method  string
	id      string
	secrets []string // one, or two where Basic can be read in two ways
}

// readProof finds the one credential of a request (RFC 6749 §2.3).
func readProof(r *http.Request, f form) (proof, reason) {
	headers := r.Header["Authorization"]
	inBody, asserted := f.one(paramClientSecret) != "", f.one(paramAssertion) != ""
	if len(headers) > 1 || count(len(headers) == 1, inBody, asserted) > 1 {
		return proof{}, manyProofs
	}
	switch {
	case asserted != (f.one(paramAssertionType) != ""):
		return proof{}, badAssertion
	case asserted:
		return proof{}, assertion
	case len(headers) == 1:
		p, ok := parseBasic(headers[0])
		if !ok {
			return proof{}, badClient
		}
		if id := f.one(paramClientID); id != "" && id != p.id {
			return proof{}, clientDiffers
		}
		return p, none
	case inBody && f.one(paramClientID) != "":
		return proof{oauth.ClientSecretPost, f.one(paramClientID), []string{f.one(paramClientSecret)}}, none
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

// authenticate proves the client. Whoever it is not, and for whatever cause, gets one refusal: badClient.
// One round trip.
func (e *endpoint) authenticate(
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
	note(ctx, slog.String("client_id", id))
	proven := proves(snapshot.Pepper, instance, client, p.secrets, e.now())
	if client == nil || !proven || !client.Status.On() || !takes(client, p.method) {
		return nil, nil, badClient, nil
	}
	return client, snapshot, none, nil
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

// proves compares the secrets with every live one of the client. It does the same work for a client that does
// not exist, against hashes that match nothing, and never stops early.
func proves(pepper []byte, instance string, client *registry.Client, secrets []string, now time.Time) bool {
	if client == nil {
		client = &registry.Client{}
	}
	proven := false
	for slot := range max(maxSecrets, len(client.Secrets)) {
		var stored registry.ClientSecret
		if slot < len(client.Secrets) && client.Secrets[slot].Live(now) {
			stored = client.Secrets[slot]
		}
		place := registry.PlaceClientSecret(instance, client.ID, stored.ID)
		for _, secret := range secrets {
			if seal.Matches(pepper, place, secret, stored.Hash) {
				proven = true
			}
		}
	}
	return proven
}

// takes reports whether the client is registered for the method (RFC 7591 §2).
func takes(client *registry.Client, method string) bool {
	if len(client.Authentication) == 0 {
		return method == oauth.ClientSecretBasic || method == oauth.ClientSecretPost
	}
	return slices.Contains(client.Authentication, method)
}
