package admin_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"keyless/shared/admin"
	"keyless/shared/auth"
	"keyless/shared/registry"
)

// form makes a signed question one about a form.
func form(q admin.Question) admin.Question {
	q.Headers["Content-Type"] = []string{"application/x-www-form-urlencoded"}
	return body(q, "a=b")
}

func body(q admin.Question, text string) admin.Question {
	q.Method, q.Body = http.MethodPost, &text
	return q
}

// told adds a body and keeps the method.
func told(q admin.Question, text string) admin.Question {
	q.Body = &text
	return q
}

func without(q admin.Question, header string) admin.Question {
	delete(q.Headers, header)
	return q
}

// refusals are requests that the gate refuses, by what is wrong with them: the Reason, and what the remedy must name.
var refusals = map[string]struct {
	question admin.Question
	reason   auth.Reason
	remedy   string
}{
	"no token":                       {get("/orders"), auth.JWTMissing, "header authorization behind 'Bearer '"},
	"a token without its prefix":     {get("/orders", "Authorization", "Token "+marker), auth.JWTMissing, "does not begin with the prefix"},
	"a token that has expired":       {bearer("/orders", token(map[string]any{"exp": now.Add(-time.Hour).Unix()})), auth.JWTExpired, "new token"},
	"a token that is no token":       {bearer("/orders", "a.b."+marker), auth.JWTInvalid, "compact form"},
	"a token of nobody":              {bearer("/orders", token(map[string]any{"uid": "nobody"})), auth.JWTInvalid, "by uid"},
	"a token without a claim":        {bearer("/orders", token(map[string]any{"uid": nil})), auth.JWTInvalid, "by uid"},
	"a token of a disabled consumer": {bearer("/orders", token(map[string]any{"uid": "asleep-uid"})), auth.JWTInvalid, "enable consumer asleep"},
	"a token at another's place":     {bearer("/orders", token(map[string]any{"uid": "apart-uid"})), auth.JWTInvalid, "header x-apart behind 'Apart '"},
	"another audience":               {bearer("/orders", token(map[string]any{"aud": marker})), auth.JWTInvalid, "aud has orders-aud"},
	"another issuer":                 {bearer("/orders", token(map[string]any{"iss": marker})), auth.JWTInvalid, "issuer https://issuer.example"},
	"a token of tomorrow":            {bearer("/orders", token(map[string]any{"nbf": now.Add(time.Hour).Unix()})), auth.JWTInvalid, "clock"},
	"a token made tomorrow":          {bearer("/orders", token(map[string]any{"iat": now.Add(time.Hour).Unix()})), auth.JWTInvalid, "clock"},
	"a token that lives too long":    {bearer("/orders", token(map[string]any{"exp": now.Add(8 * 24 * time.Hour).Unix()})), auth.JWTInvalid, "less than 7d"},
	"another signature":              {bearer("/orders", token(nil)[:len(token(nil))-4]+"AAAA"), auth.JWTInvalid, "a key of consumer shop signed"},
	"two tokens":                     {get("/orders", "authorization", "Bearer "+token(nil), "Authorization", "Bearer "+token(nil)), auth.JWTInvalid, "one credential"},
	"an API that only an expired authorization names": {bearer("/orders", token(map[string]any{"uid": "idle-uid"})), auth.AccessDenied,
		"expired at 2026-11-01T00:00:00Z"},
	"an API that nobody is authorized on": {bearer("/lonely", token(nil)), auth.AccessDenied,
		"nobody at all is authorized on API lonely: add {api: lonely} to the authorizations of consumer shop"},
	"a token without a scope":   {bearer("/scoped", token(map[string]any{"scope": "other"})), auth.InsufficientScope, "scopes tools.call"},
	"a model that is not named": {body(bearer("/v1/chat", token(nil)), `{"model":"gpt"}`), auth.ModelNotAllowed, "qwen-*"},

	"no API key":               {get("/keyed"), auth.APIKeyMissing, "header authorization behind 'Bearer ' or header x-visitor"},
	"two API keys":             {get("/keyed", "authorization", "Bearer "+apiKey, "x-visitor", elseKey), auth.APIKeyMultiple, "one credential"},
	"an API key of nobody":     {bearer("/keyed", "kg_"+marker), auth.APIKeyInvalid, "belongs to nobody"},
	"an API key that is old":   {bearer("/keyed", oldKey), auth.APIKeyInvalid, "expires_at of k2"},
	"an API key that is off":   {bearer("/keyed", offKey), auth.APIKeyInvalid, "enable API key k3 of consumer keyholder"},
	"an API key elsewhere":     {bearer("/keyed", elseKey), auth.APIKeyInvalid, "header x-visitor"},
	"an API key of a stranger": {get("/keyed", "x-visitor", elseKey), auth.ConsumerUnauthorized, "add {api: keyed} to the authorizations of consumer visitor"},
	"an API key where nobody is authorized": {bearer("/lonely", apiKey), auth.APIKeyInvalid,
		"nobody at all is authorized on API lonely: add {api: lonely} to the authorizations of consumer keyholder"},

	"no access key":             {get("/signed"), auth.HMACInvalidKey, "X-Ca-Key"},
	"an access key of nobody":   {signed("/signed", "no-ak", now), auth.HMACInvalidKey, "belongs to nobody"},
	"an access key that is off": {signed("/signed", "off-ak", now), auth.HMACInvalidKey, "enable the access key of consumer signer"},
	"no signature":              {without(signed("/signed", "signer-ak", now), "X-Ca-Signature"), auth.HMACEmptySignature, "X-Ca-Signature"},
	"a signature of another":    {signed("/signed?key="+marker, "signer-ak", now, "Accept", "text/plain"), auth.HMACInvalidSignature, "X-Ca-Error-Message"},
	"a signature of SHA-1":      {signed("/signed", "signer-ak", now, "X-Ca-Signature-Method", "HmacSHA1"), auth.HMACInvalidSignature, "allow_sha1"},
	"an unknown method":         {signed("/signed", "signer-ak", now, "X-Ca-Signature-Method", "HmacMD5"), auth.HMACInvalidSignature, "HmacSHA256"},
	"a signature of yesterday":  {signed("/signed", "signer-ak", now.Add(-24*time.Hour)), auth.HMACInvalidDate, "within 15m"},
	"a form without its body":   {form(signed("/asked", "signer-ak", now)), auth.HMACBodyNeeded, "authorizer sees no bodies"},
	"a signer who may not":      {signed("/signed", "by-ak", now), auth.HMACUnauthorized, "add {api: signed} to the authorizations of consumer bystander"},
	"another body than the signed one": {told(signed("/signed", "signer-ak", now, "Content-Md5", "1B2M2Y8AsgTpgAmY7PhCfg=="), "x"),
		auth.HMACInvalidDigest, "Content-MD5 is the base64"},
	"a body above the bound that is signed": {told(signed("/signed", "signer-ak", now, "Content-Md5", "x"), strings.Repeat("x", 17)),
		auth.BodyTooLarge, "16 bytes"},
}

func TestEveryRefusalNamesWhatWouldMakeItPass(t *testing.T) {
	t.Parallel()
	seen := []auth.Reason{auth.HMACReplayedNonce, auth.TokenRevoked, auth.ToolNotAllowed} // by record: explain uses no nonce up
	for name, c := range refusals {
		seen = append(seen, c.reason)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newWorld(t).explain(t, c.question)
			look := c.reason.Refusal()
			if e.Outcome != admin.OutcomeRefused || e.Status != look.Status || e.Code != look.Code || e.Message != look.Message {
				t.Fatalf("want %s, got %+v", c.reason, e)
			}
			if !strings.Contains(e.Remedy, c.remedy) {
				t.Errorf("want a remedy with %q, got %q\n%+v", c.remedy, e.Remedy, e.Steps)
			}
			decided := 0
			for _, s := range e.Steps {
				if s.Decides {
					decided++
				}
			}
			if decided != 1 || e.Steps[0].Step != "domain" || e.Steps[1].Step != "API" {
				t.Errorf("steps %+v", e.Steps)
			}
		})
	}
	for _, reason := range auth.Reasons {
		if !slices.Contains(seen, reason) {
			t.Errorf("no row for %s", reason)
		}
	}
}

func TestEveryReasonHasARemedyOfItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, reason := range auth.Reasons {
		d := auth.Decision{API: &registry.API{Name: "orders"}, Reason: reason, Consumer: &registry.Consumer{Name: "shop"}}
		look := reason.Refusal()
		if err := d.Keep(context.Background(), w.trail, "req-1", d.Record(now, look.Status, look.Code, look.Message)); err != nil {
			t.Fatal(err)
		}
		e := w.explain(t, admin.Question{RequestID: "req-1"})
		if e.Remedy == "" || strings.Contains(e.Remedy, "see the step") || e.Code != look.Code || e.Outcome != admin.OutcomeRefused {
			t.Errorf("%s: got %+v", reason, e)
		}
	}
}

func TestWhatPassesIsToldWithItsLimits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		question admin.Question
		fact     string
	}{
		"a token":               {bearer("/orders/7?q="+marker, token(nil)), "API orders (60 calls a minute), group batch (500 calls a day), consumer shop (9 calls a hour)"},
		"an API key":            {bearer("/keyed", apiKey), "domain default (1000 calls a day)"},
		"a signature":           {signed("/signed", "signer-ak", now), "stays unused"},
		"an open API":           {get("/open"), "disabled on API open"},
		"an authorizer-only":    {signed("/asked", "signer-ak", now), "no upstreams"},
		"a model that is named": {body(bearer("/v1/chat", token(nil)), `{"model":"qwen-plus"}`), "one of those"},
		"a model not told":      {bearer("/v1/chat", token(nil)), "no body"},
		"a host of its own":     {admin.Question{URL: "https://SHOP.example:8443/open"}, "shop.example, by its exact name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newWorld(t).explain(t, c.question)
			if e.Outcome != admin.OutcomeAllowed || e.Status != 0 || e.Remedy != "" {
				t.Fatalf("got %+v", e)
			}
			if !slices.ContainsFunc(e.Steps, func(s admin.Step) bool { return strings.Contains(s.Fact, c.fact) }) {
				t.Errorf("no step with %q in %+v", c.fact, e.Steps)
			}
		})
	}
}

func TestWhatNeverComesToTheGateIsExplained(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		question admin.Question
		status   int
		code     string
		remedy   string
	}{
		"a path with two spellings":  {get("/orders/%2e%2e/" + marker), 400, "bad_request", "one spelling"},
		"an empty segment":           {get("/orders//" + marker), 400, "bad_request", "one spelling"},
		"a path of no API":           {get("/" + marker), 404, "api_not_found", "/orders"},
		"an API of another domain":   {get("/elsewhere"), 404, "api_not_found", "on its domain shop.example"},
		"a draft":                    {get("/draft"), 404, "api_not_found", "publish API draft"},
		"a base path by half":        {get("/ordersandmore"), 404, "api_not_found", "/orders"},
		"a key set out of reach":     {bearer("/orders", token(map[string]any{"uid": "remote-uid"})), 503, "keys_unavailable", "reachable"},
		"a body above the API's own": {told(signed("/signed", "signer-ak", now), strings.Repeat("x", 17)), 413, "body_too_large", "16 bytes"},
		"a body with two models":     {body(bearer("/v1/chat", token(nil)), `{"model":"qwen-a","model":"gpt"}`), 400, "bad_request", "once"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newWorld(t).explain(t, c.question)
			if e.Status != c.status || e.Code != c.code || !strings.Contains(e.Remedy, c.remedy) {
				t.Errorf("got %+v", e)
			}
		})
	}
}

func TestASignatureThatDoesNotVerifyNamesItsKeys(t *testing.T) {
	t.Parallel()
	e := newWorld(t).explain(t, bearer("/orders", token(nil)[:len(token(nil))-4]+"AAAA"))
	want := admin.Step{Step: "keys of shop", Fact: "a key fits the token's kid and algorithm, and did not make this signature"}
	if !slices.Contains(e.Steps, want) {
		t.Errorf("got %+v", e.Steps)
	}
}

func TestTheStoreIsReadAnewForEachExplanation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	q := bearer("/orders", token(nil))
	if e := w.explain(t, q); e.Outcome != admin.OutcomeAllowed {
		t.Fatalf("got %+v", e)
	}
	// A change of the entry alone, as between two parts of one: the copy in the index is old, and the entry is the truth.
	entries, _, err := w.Store.Entries(context.Background(), registry.KindConsumer, "shop")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(entries["shop"].Value, `"name":"shop"`, `"name":"shop","status":"disabled"`, 1)
	err = w.Store.Write(context.Background(), registry.Change{
		Kind: registry.KindConsumer, Name: "shop", Entry: &registry.Entry{Value: text}})
	if err != nil {
		t.Fatal(err)
	}
	if e := w.explain(t, q); e.Code != "jwt_verification_failed" || !strings.Contains(e.Remedy, "enable consumer shop") {
		t.Errorf("got %+v", e)
	}
}
