package authorizer_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"keyless/shared/auth"
	"keyless/shared/authorizer"
	"keyless/shared/config"
	"keyless/shared/quota"
	"keyless/shared/registry"
)

// signer is a key of P-256.
type signer struct {
	key *ecdsa.PrivateKey
	jwk string
}

func newSigner(t *testing.T) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	raw := base64.RawURLEncoding.EncodeToString
	return signer{key, fmt.Sprintf(`{"crv":"P-256","kty":"EC","x":%q,"y":%q}`, raw(point[1:33]), raw(point[33:]))}
}

func (s signer) sign(t *testing.T, header, claims string) string {
	t.Helper()
	raw := base64.RawURLEncoding.EncodeToString
	text := raw([]byte(header)) + "." + raw([]byte(claims))
	sum := sha256.Sum256([]byte(text))
	r, v, err := ecdsa.Sign(rand.Reader, s.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	v.FillBytes(signature[32:])
	return text + "." + raw(signature)
}

// thumbprint is RFC 7638's: the JWK is written in its form.
func (s signer) thumbprint() string {
	sum := sha256.Sum256([]byte(s.jwk))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (s signer) proof(t *testing.T, method, url, token string) string {
	t.Helper()
	return s.sign(t, `{"alg":"ES256","typ":"dpop+jwt","jwk":`+s.jwk+`}`, fmt.Sprintf(
		`{"jti":%q,"htm":%q,"htu":%q,"iat":%d,"ath":%q}`, rand.Text(), method, url, now.Unix(), auth.TokenHash(token)))
}

// ownStore is the standard registry with an instance of ours whose tokens prove alice.
func ownStore(t *testing.T, s signer) registry.Store {
	t.Helper()
	w := standard()
	text := consumer("alice", "", "reports", "models")
	var c map[string]any
	_ = json.Unmarshal([]byte(text), &c)
	c["jwt"] = map[string]any{"value": "alice", "jwks_url": "https://gateway.example/acme/oauth2/jwks"}
	changed, _ := json.Marshal(c)
	w.consumers = []string{string(changed)}
	store := w.store(t)
	set, _ := json.Marshal(map[string]any{"active": "k", "jwks": json.RawMessage(`{"keys":[` + s.jwk + `]}`)})
	write(t, store, registry.Change{Set: map[string]string{
		registry.FieldKeySet("acme"): string(set),
		"domain:default.example":     `{"name":"default.example"}`, // a proof is for a host that the registry names
	}})
	return store
}

func (s signer) token(t *testing.T, more string) string {
	t.Helper()
	return s.sign(t, `{"alg":"ES256"}`, fmt.Sprintf(
		`{"iss":"https://gateway.example/acme/oauth2","uid":"alice","jti":"id-1","iat":%d,"exp":%d%s}`,
		now.Unix(), now.Add(time.Hour).Unix(), more))
}

// revoking is a memory of revocations, and an admission that looks into it.
type revoking struct {
	*counter
	revoked []string
	away    bool
}

func (r *revoking) Revoked(_ context.Context, digests ...string) ([]bool, error) {
	if r.away {
		return nil, errDown
	}
	list := make([]bool, len(digests))
	for i, digest := range digests {
		list[i] = slices.Contains(r.revoked, digest)
	}
	return list, nil
}

func (r *revoking) Admit(ctx context.Context, c quota.Call) (quota.Admission, error) {
	if slices.Contains(r.revoked, c.Revocation) {
		return quota.Admission{Revoked: true}, nil
	}
	return r.counter.Admit(ctx, c)
}

func openOn(store registry.Store, counts *revoking, revoked authorizer.Revocations) *authorizer.Authorizer {
	gate := auth.New(noKeys{}, "https://gateway.example", clock)
	return authorizer.New(authorizer.Options{
		Reader: registry.NewReader(store, master, clock), Gate: gate.WithNonces(counts).WithoutBodies(),
		Quota: counts, Revoked: revoked, Proxies: config.Loopback(), Now: clock, Log: slog.New(slog.DiscardHandler),
	})
}

// RFC 7009 §3, X05: a revoked token of ours is refused on the next request, whoever counts the call.
func TestRFC7009RevokedTokens(t *testing.T) {
	t.Parallel()
	s := newSigner(t)
	store := ownStore(t, s)
	good, bare := s.token(t, ""), s.token(t, `,"x":1`)
	digest := registry.Revocation("https://gateway.example/acme/oauth2", "id-1")
	for name, c := range map[string]struct {
		path    string
		token   string
		revoked []string
		away    bool
		want    string
	}{
		"counted here, and good":          {"/reports", good, nil, false, allowed},
		"counted here, and revoked":       {"/reports", good, []string{digest}, false, unproven},
		"counted by the proxy, and good":  {"/v1/chat", bare, nil, false, allowed},
		"another one is revoked":          {"/v1/chat", good, []string{"another"}, false, allowed},
		"counted by the proxy, revoked":   {"/v1/chat", good, []string{digest}, false, unproven},
		"the memory is away":              {"/v1/chat", good, nil, true, failed},
		"the memory is away, and ours is": {"/reports", good, nil, true, allowed}, // by the admission
	} {
		for dialect, askIn := range dialects {
			counts := &revoking{counter: &counter{limit: 9}, revoked: c.revoked, away: c.away}
			got, code := askIn(t, openOn(store, counts, counts), get(c.path, "Bearer "+c.token))
			// A policy speaks of other APIs too: where those cannot be judged they are denied, and this one stands.
			if got != c.want || got == unproven && code != "" && code != "jwt_verification_failed" {
				t.Errorf("%s, %s: %s %s", name, dialect, got, code)
			}
		}
	}
	a := openOn(store, &revoking{counter: &counter{limit: 9}}, nil)
	if got, _ := dialects["nginx"](t, a, get("/v1/chat", "Bearer "+good)); got != failed {
		t.Errorf("no memory is wired: %s", got)
	}
	if got, _ := dialects["nginx"](t, openOn(standard().store(t), &revoking{counter: &counter{limit: 9}}, nil),
		get("/v1/chat", bearer("alice"))); got != allowed {
		t.Errorf("a token that we cannot revoke needs none: %s", got)
	}
}

// RFC 9449 §7 in every dialect: a proof is for the URL that the caller sent, the platform's stage included.
func TestRFC9449InEveryDialect(t *testing.T) {
	t.Parallel()
	s, mine, other := newSigner(t), newSigner(t), newSigner(t)
	store := ownStore(t, s)
	bound := s.token(t, `,"cnf":{"jkt":"`+mine.thumbprint()+`"}`)
	const url = "https://default.example/reports/7"
	for name, c := range map[string]struct {
		scheme, proof string
		want          string
	}{
		"its proof":         {"DPoP ", mine.proof(t, "GET", url, bound), allowed},
		"with the stage":    {"DPoP ", mine.proof(t, "GET", "https://default.example/prod/reports/7", bound), "staged"},
		"another path":      {"DPoP ", mine.proof(t, "GET", "https://default.example/reports", bound), unproven},
		"another method":    {"DPoP ", mine.proof(t, "POST", url, bound), unproven},
		"another host":      {"DPoP ", mine.proof(t, "GET", "https://gateway.example/reports/7", bound), unproven},
		"another key":       {"DPoP ", other.proof(t, "GET", url, bound), unproven},
		"no proof":          {"DPoP ", "", unproven},
		"as a bearer token": {"Bearer ", mine.proof(t, "GET", url, bound), unproven},
		"a proof of two":    {"DPoP ", mine.proof(t, "GET", url, bound) + ", x", unproven},
		"htu with a query":  {"DPoP ", mine.proof(t, "GET", url+"?x=1", bound), allowed},
	} {
		for dialect, askIn := range dialects {
			counts := &revoking{counter: &counter{limit: 9}}
			question := get("/reports/7", c.scheme+bound)
			if c.proof != "" && dialect != "REST TOKEN" {
				question = question.with("Dpop", c.proof)
			}
			want := c.want
			switch {
			case dialect == "REST TOKEN": // which is told one header's value, and so no proof
				want = unproven
			case want == "staged" && (strings.HasPrefix(dialect, "REST") || strings.HasPrefix(dialect, "HTTP")):
				want = allowed
			case want == "staged":
				want = unproven
			}
			a := openOn(store, counts, counts)
			if got, code := askIn(t, a, question); got != want {
				t.Errorf("%s, %s: %s %s", name, dialect, got, code)
			}
			if got, _ := askIn(t, a, question); want == allowed && got != unproven {
				t.Errorf("%s, %s, again: %s", name, dialect, got)
			}
		}
	}
}

// A policy of a bound token says one method and path: a proof holds for no other.
func TestAPolicyOfABoundTokenIsOfOnePath(t *testing.T) {
	t.Parallel()
	s, mine := newSigner(t), newSigner(t)
	bound := s.token(t, `,"cnf":{"jkt":"`+mine.thumbprint()+`"}`)
	counts := &revoking{counter: &counter{limit: 9}}
	question := get("/reports/7", "DPoP "+bound).with("Dpop", mine.proof(t, "GET", "https://default.example/reports/7", bound))
	reply, err := ask(t, openOn(ownStore(t, s), counts, counts), requestEvent(question))
	if err != nil {
		t.Fatal(err)
	}
	if r := parse(t, reply); !r.decides(t, stageARN+"/GET/reports/7") || r.decides(t, stageARN+"/GET/reports/8") ||
		r.decides(t, stageARN+"/POST/reports/7") || r.decides(t, stageARN+"/GET/v1") {
		t.Errorf("%s", reply)
	}
}
