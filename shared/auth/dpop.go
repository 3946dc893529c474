package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"time"

	"keyless/shared/oauth"
	"keyless/shared/registry"
)

const (
	// proofWindow is how far the iat of a proof may lie from now, to either side (RFC 9449 §11.1: seconds or minutes). It bounds how long
	// a jti is remembered.
	proofWindow = time.Minute
	// nonceLife is for how long the same nonce is given; it holds for as long again (RFC 9449 §8: a nonce is used until another is given).
	nonceLife = 5 * time.Minute
)

// ProofOf is what a DPoP proof must be for.
type ProofOf struct {
	Method string
	URLs   []string // of the request, as its caller may have spelled it
	Token  string   // the access token beside it; "" at a token endpoint
	Key    string   // thumbprint of the key that the token is bound to; "" at a token endpoint
}

// SentProof reads the one proof of a request (RFC 9449 §4.3 items 1 to 6). It returns nil where there is none, and what is wrong, for
// a log, where there is not just one that passes the strict door.
func SentProof(r *http.Request) (*oauth.Proof, string) {
	sent := r.Header[oauth.HeaderDPoP]
	switch len(sent) {
	case 0:
		return nil, ""
	case 1:
		proof, err := oauth.ParseProof(sent[0])
		if err != nil {
			return nil, err.Error()
		}
		return proof, ""
	}
	return nil, "more than one"
}

// Wrong judges a proof on what it says (RFC 9449 §4.3 items 7 to 9, 11 and 12) but for its nonce and whether it was used before, the
// signature last, for it costs most. It returns what is wrong, "" for nothing. Pure.
func (of ProofOf) Wrong(p *oauth.Proof, now time.Time) string {
	c := p.Token.Claims
	switch {
	case p.Method != of.Method:
		return "htm is not the request's method"
	case !p.IsFor(of.URLs...):
		return "htu is not the request's URL"
	case now.Sub(c.IssuedAt) > proofWindow || c.IssuedAt.Sub(now) > proofWindow:
		return "iat is more than a minute from now"
	case !c.ExpiresAt.IsZero() && !now.Before(c.ExpiresAt.Add(proofWindow)), c.NotBefore.After(now.Add(proofWindow)):
		return "exp has passed, or nbf is in the future"
	case of.Token != "" && p.AccessToken != TokenHash(of.Token):
		return "ath is not the hash of the access token"
	case of.Key != "" && p.Key.Thumbprint != of.Key:
		return "its key is not the one that the token is bound to"
	case !Verifies(p.Token, p.Key):
		return "the key in its header does not verify it"
	}
	return ""
}

// TokenHash is the ath of an access token, RFC 9449 §4.2.
func TokenHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// UseProof uses a proof up, in the memory of all instances, for as long as it would be taken again (RFC 9449 §11.1). It reports whether
// it was new. An error means that nobody knows. One round trip.
func UseProof(ctx context.Context, nonces Nonces, p *oauth.Proof, now time.Time) (bool, error) {
	if nonces == nil {
		return false, errors.New("remember a DPoP proof: no memory for what is used once")
	}
	remember := p.Token.Claims.IssuedAt.Add(proofWindow).Sub(now) + time.Second
	first, err := nonces.First(ctx, proofKey(p), remember)
	if err != nil {
		return false, fmt.Errorf("remember a DPoP proof: %w", err)
	}
	return first, nil
}

// proofKey names a used proof. No access key begins so: none has a line break.
func proofKey(p *oauth.Proof) string {
	return registry.NonceKey("DPoP\n"+p.Key.Thumbprint, p.Token.Claims.ID)
}

// ProofNonce is the nonce that a proof shall hold from now on (RFC 9449 §8). Nothing is kept for it: it is a function of the time and of
// the registry's pepper, so that every instance gives the same and takes another's. The pepper must not be empty.
func ProofNonce(pepper []byte, now time.Time) string { return nonceAt(pepper, bucket(now)) }

// ProofNonceHolds reports whether a nonce is the one of now or the one before, or of an instance whose clock is ahead: nobody else can
// have made the next one.
func ProofNonceHolds(pepper []byte, nonce string, now time.Time) bool {
	holds := false
	for at := bucket(now) - 1; at <= bucket(now)+1; at++ {
		holds = hmac.Equal([]byte(nonceAt(pepper, at)), []byte(nonce)) || holds
	}
	return holds
}

func bucket(now time.Time) int64 { return now.Unix() / int64(nonceLife/time.Second) }

func nonceAt(pepper []byte, bucket int64) string {
	if len(pepper) == 0 {
		panic("auth: a nonce without a pepper") // the caller took a Snapshot without its pepper for a complete one
	}
	key := hmac.New(sha256.New, pepper)
	key.Write([]byte("keyless DPoP nonces v1"))
	mac := hmac.New(sha256.New, key.Sum(nil))
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(bucket))) //nolint:gosec // a time is not negative
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
