package token_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"keyless/shared/accesslog"
	"keyless/shared/registry"
	"keyless/shared/token"
)

// line is what the access log says of one request.
func (f *fixture) line(t *testing.T, c call) (map[string]any, string) {
	t.Helper()
	var log bytes.Buffer
	g, inner := *f, f.Handler
	g.Handler = accesslog.Handler(slog.New(slog.NewJSONHandler(&log, nil)), nil, inner)
	g.do(c)
	var line map[string]any
	if err := json.Unmarshal(bytes.TrimSpace(log.Bytes()), &line); err != nil {
		t.Fatalf("%v: %s", err, log.String())
	}
	return line, log.String()
}

// Every outcome of the three endpoints stands on the request's line: who, what, how it ended and why, and no secret.
func TestEveryOutcomeIsOnTheLine(t *testing.T) {
	t.Parallel()
	f, kept := newExchanging(t)
	text := f.mint(t, call{})
	id := claimsOf(t, []byte(`{"access_token":"`+text+`"}`)).ID
	subject := personToken(nil)
	trade := "grant_type=" + exchangeGrant + "&subject_token_type=" + typeJWT + "&audience=" + gateway + "&subject_token="
	agent := basic("agent", secret)
	type want = map[string]any
	for name, test := range map[string]struct {
		call
		want want
	}{
		"a token": {call{}, want{"status": 200.0, "instance": "acme", "client_id": "one", "client_secret_id": "s1",
			"client_authentication": "client_secret_basic", "resource_server": gateway, "scopes": 3.0,
			"grant_type": "client_credentials"}},
		"the second secret": {call{authorization: basic("one", other)}, want{"client_secret_id": "s2"}},
		"a wrong secret": {call{authorization: basic("one", "canary-of-a-secret")},
			want{"status": 401.0, "client_id": "one", "error": "invalid_client", "reason": "bad_client"}},
		"an unknown client": {call{authorization: basic("canary-of-a-name", secret)}, want{"status": 401.0, "client_id": "unknown"}},
		"not granted": {call{body: grantType + "&scope=canary-of-a-scope"},
			want{"status": 400.0, "client_id": "one", "error": "invalid_scope", "reason": "scope_not_granted"}},
		"no such path": {call{path: "/acme/oauth2/x"}, want{"status": 404.0, "reason": "no_such_path"}},
		"an exchange": {call{authorization: agent, body: trade + subject}, want{"status": 200.0, "client_id": "agent",
			"grant_type": exchangeGrant, "subject_trust": "people", "resource_server": gateway}},
		"an exchange that is refused": {call{authorization: agent, body: trade + personToken(object{"tenant": "evil"})},
			want{"status": 400.0, "client_id": "agent", "reason": "bad_subject_token", "subject_token": "a claim is not what is configured"}},
		"an exchange nobody allowed": {call{body: trade + subject}, want{"status": 400.0, "reason": "token_exchange_not_allowed"}},
		"introspected": {call{path: introspectPath, authorization: basic("gate", secret), body: "token=" + text},
			want{"status": 200.0, "client_id": "gate", "active": true, "token_id": id, "token_client": "one"}},
		"introspected, not active": {call{path: introspectPath, body: "token=x"},
			want{"status": 200.0, "client_id": "one", "active": false, "reason": "malformed"}},
		"introspected by a stranger": {call{path: introspectPath, authorization: basic("toolbox", secret), body: "token=" + text},
			want{"active": false, "reason": "the caller has nothing to do with it"}},
		"revocation of another's": {call{path: revokePath, authorization: basic("both", secret), body: "token=" + text},
			want{"status": 400.0, "client_id": "both", "token_id": id, "token_client": "one", "reason": "token_of_another_client"}},
		"revocation of nothing": {call{path: revokePath, body: "token=x"},
			want{"status": 200.0, "client_id": "one", "revoked": false, "reason": "malformed"}},
	} {
		line, all := f.line(t, test.call)
		for key, value := range test.want {
			if line[key] != value {
				t.Errorf("%s: %s is %v: %s", name, key, line[key], all)
			}
		}
		if name == "a token" || name == "an exchange" {
			if id, _ := line["token_id"].(string); len(id) != 22 {
				t.Errorf("%s: token_id %v", name, line["token_id"])
			}
		}
		noSecrets(t, name, all, text, subject)
	}
	line, _ := f.line(t, call{path: revokePath, body: "token=" + text})
	if line["revoked"] != true || line["token_id"] != id || line["client_id"] != "one" {
		t.Errorf("a revocation: %v", line)
	}
	kept.err = errors.New("away")
	line, _ = f.line(t, call{path: introspectPath, body: "token=" + f.mint(t, call{})})
	if line["status"] != 503.0 || line["reason"] != "unavailable" || line["client_id"] != "one" {
		t.Errorf("the memory is away: %v", line)
	}
	noSecrets(t, "the log of failures", f.log.String(), text, subject)
}

func noSecrets(t *testing.T, name, log, text, subject string) {
	t.Helper()
	for _, hidden := range []string{secret, other, "canary", text, subject, strings.Split(text, ".")[2], "ann@example"} {
		if strings.Contains(log, hidden) {
			t.Errorf("%s: %q is in the log: %s", name, hidden, log)
		}
	}
}

// useFails is a memory of last uses that is away.
type useFails struct{}

func (useFails) SecretUsed(context.Context, string, string, string) error {
	return errors.New("canary")
}

// C10: which secret was used, and when; what proves nothing is no use.
func TestC10LastUse(t *testing.T) {
	t.Parallel()
	const long = "a-secret-long-enough-to-key-HS256-with"
	signs := registry.Client{ID: "hs", Authentication: []string{"client_secret_jwt"}}
	f := newProven(t, nil)
	signs.Secrets = []registry.ClientSecret{sealedSecret(t, f.master, f.pepper, "hs", "s7", long)}
	signs.Permissions = clients(f.pepper)[0].Permissions
	f.client(t, "acme", signs)
	f.LastUse = f.Reader.(*registry.Reader)
	f.Handler = token.New(f.Options)
	used := func(client string) map[string]time.Time {
		t.Helper()
		at, err := registry.LastUsed(t.Context(), f.store, "acme", client)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for name, w := range map[string]*httptest.ResponseRecorder{
		"a wrong secret":       f.do(call{authorization: basic("one", "wrong")}),
		"an expired secret":    f.do(call{authorization: basic("old", secret)}),
		"a disabled client":    f.do(call{authorization: basic("disabled", secret)}),
		"another method":       f.do(call{authorization: basic("federated", secret)}),
		"an assertion, not so": f.send(asserted(jwtBearer, keyed([]byte(secret), object{"alg": "HS256"}, own("hs", nil)))),
	} {
		if w.Code != 401 {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	for _, client := range []string{"one", "old", "disabled", "federated", "hs"} {
		if at := used(client); len(at) != 0 {
			t.Errorf("%s: %v", client, at)
		}
	}
	if w := f.do(call{authorization: basic("one", other)}); w.Code != 200 {
		t.Fatal(w.Body)
	}
	if at := used("one"); len(at) != 1 || !at["s2"].Equal(now) {
		t.Errorf("%v", at)
	}
	if w := f.send(asserted(jwtBearer, keyed([]byte(long), object{"alg": "HS256"}, own("hs", nil)))); w.Code != 200 {
		t.Fatal(w.Body)
	}
	if at := used("hs"); len(at) != 1 || !at["s7"].Equal(now) {
		t.Errorf("%v", at)
	}
	o := f.Options
	o.LastUse = useFails{}
	f.Handler = token.New(o)
	if w := f.do(call{}); w.Code != 200 || !strings.Contains(f.log.String(), "level=WARN") {
		t.Errorf("it is no reason to refuse: %d\n%s", w.Code, f.log)
	}
}
