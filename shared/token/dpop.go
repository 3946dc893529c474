package token

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"keyless/shared/auth"
	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// What a client's dpop says; absent is off.
const (
	dpopOptional = "optional"
	dpopRequired = "required"
)

// sentDPoP reads the proof of a token request (RFC 9449 §5), nil where there is none. A proof must hold a nonce of ours, so that none
// can be made long before it is used (§8, §11.2): who has none, or an old one, is given one, and is told so before anything that it
// sent is used up. No round trip.
func (e *endpoint) sentDPoP(w http.ResponseWriter, r *http.Request) (*oauth.Proof, reason, error) {
	proof, why := auth.SentProof(r)
	if why == "" && proof == nil {
		return nil, none, nil
	}
	snapshot, err := e.reader.Snapshot(r.Context())
	if err != nil {
		return nil, none, fmt.Errorf("judge the nonce of a DPoP proof: %w", err)
	}
	if err := e.giveNonce(w, snapshot); err != nil {
		return nil, none, err
	}
	switch {
	case why != "":
		return nil, e.badProof(r, why), nil
	case !auth.ProofNonceHolds(snapshot.Pepper, proof.Nonce, e.now()):
		return nil, wantsNonce, nil
	}
	return proof, none, nil
}

// giveNonce puts the nonce for the client's next proof on the answer, a refusal or a token (RFC 9449 §8.1, §8.2).
func (e *endpoint) giveNonce(w http.ResponseWriter, s *registry.Snapshot) error {
	if len(s.Pepper) == 0 {
		return errors.New("make a nonce for DPoP: the registry's pepper cannot be opened")
	}
	w.Header().Set(oauth.HeaderDPoPNonce, auth.ProofNonce(s.Pepper, e.now()))
	return nil
}

// dpopKey is the thumbprint of the key that the token shall be bound to, "" for none. It judges the proof for a client that has
// authenticated, and uses it up last. A proof of a client with dpop off is refused, not passed over as by a server without DPoP: our
// metadata says that we know it, and who sends a proof does not want a bearer token. One round trip where there is a proof.
func (e *endpoint) dpopKey(
	w http.ResponseWriter, r *http.Request, instance string, c caller, proof *oauth.Proof,
) (string, reason, error) {
	switch mode := c.client.DPoP; {
	case proof == nil && mode == dpopRequired:
		return "", needsProof, e.giveNonce(w, c.snapshot)
	case proof == nil:
		return "", none, nil
	case mode != dpopOptional && mode != dpopRequired:
		return "", dpopOff, nil
	}
	path := "/" + instance + "/oauth2/" + endpointToken
	of := auth.ProofOf{Method: r.Method, URLs: []string{e.tokenURL + path, e.public + path}}
	if why := of.Wrong(proof, e.now()); why != "" {
		return "", e.badProof(r, why), nil
	}
	first, err := auth.UseProof(r.Context(), e.nonces, proof, e.now())
	if err != nil {
		return "", none, err
	}
	if !first {
		return "", e.badProof(r, "was used before"), nil
	}
	return proof.Key.Thumbprint, none, nil
}

// badProof puts into the log's line what is wrong with a proof. The caller is not told.
func (e *endpoint) badProof(r *http.Request, why string) reason {
	note(r.Context(), slog.String("dpop", why))
	return badDPoP
}

// bindTo adds a DPoP key to what a token is bound to (RFC 9449 §6.1). A certificate stays: then both must be proven.
func bindTo(bound *oauth.Confirmation, key string) *oauth.Confirmation {
	if key == "" {
		return bound
	}
	if bound == nil {
		bound = &oauth.Confirmation{}
	}
	bound.Key = key
	return bound
}

// typeOf is the token type of a token that is bound so (RFC 9449 §5, RFC 8705 §3).
func typeOf(bound *oauth.Confirmation) string {
	if bound != nil && bound.Key != "" {
		return oauth.SchemeDPoP
	}
	return bearer
}
