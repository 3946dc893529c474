package token_test

import (
	"strings"
	"testing"

	"keyless/shared/oauth"
)

// X06, RFC 8693 §1.1, §4.1, §4.4: who acts. J13: the names of claims are ours alone.
func TestX06J13Actors(t *testing.T) {
	t.Parallel()
	f, _ := newExchanging(t)
	job := jobToken(nil)
	type actors = object
	chain := func(n int) object {
		inner := object{"sub": "a0"}
		for i := 1; i < n; i++ {
			inner = object{"sub": "a", "act": inner}
		}
		return inner
	}
	for name, test := range map[string]struct {
		subject, actor string
		want           string // the act of our token; "" refused
	}{
		"the client":            {personToken(nil), "", `{"sub":"agent"}`},
		"an actor token":        {personToken(nil), job, `{"iss":"https://machines.example","sub":"job:nightly"}`},
		"an actor of our own":   {personToken(nil), f.resign(t, "acme", access(object{"aud": tools, "client_id": "both", "sub": "both"})), `{"sub":"both"}`},
		"who acted before":      {personToken(object{"act": actors{"sub": "web"}}), "", `{"sub":"agent","act":{"iss":"https://people.example","sub":"web"}}`},
		"with an issuer":        {personToken(object{"act": actors{"sub": "web", "iss": "i"}}), "", `{"sub":"agent","act":{"iss":"i","sub":"web"}}`},
		"what does not name":    {personToken(object{"act": actors{"sub": "web", "x\":0,\"admin": true}}), "", `{"sub":"agent","act":{"iss":"https://people.example","sub":"web"}}`},
		"four in a chain":       {personToken(object{"act": chain(3)}), "", "any"},
		"five in a chain":       {personToken(object{"act": chain(4)}), "", ""},
		"act is a string":       {personToken(object{"act": "web"}), "", ""},
		"act without sub":       {personToken(object{"act": actors{"iss": "i"}}), "", ""},
		"act with a number":     {personToken(object{"act": actors{"sub": 1}}), "", ""},
		"act with a long sub":   {personToken(object{"act": actors{"sub": strings.Repeat("x", 256)}}), "", ""},
		"the client may act":    {personToken(object{"may_act": actors{"sub": "agent"}}), "", `{"sub":"agent"}`},
		"… of our issuer":       {personToken(object{"may_act": actors{"sub": "agent", "iss": issuerURL}}), "", `{"sub":"agent"}`},
		"… of another issuer":   {personToken(object{"may_act": actors{"sub": "agent", "iss": people}}), "", ""},
		"another may act":       {personToken(object{"may_act": actors{"sub": "other"}}), "", ""},
		"… which is the actor":  {personToken(object{"may_act": actors{"sub": "job:nightly", "iss": machines}}), job, "any"},
		"… and not the client":  {personToken(object{"may_act": actors{"sub": "agent"}}), job, ""},
		"may_act says more":     {personToken(object{"may_act": actors{"sub": "agent", "email": "x"}}), "", ""},
		"may_act says nothing":  {personToken(object{"may_act": actors{}}), "", ""},
		"may_act is a string":   {personToken(object{"may_act": "agent"}), "", ""},
		"an actor nobody knows": {personToken(nil), personToken(object{"iss": "https://evil.example"}), ""},
		"an expired actor":      {personToken(nil), jobToken(object{"exp": now.Unix()}), ""},
		"a bound actor":         {personToken(nil), jobToken(object{"cnf": object{"jkt": "k"}}), ""},
		"an actor's actor":      {personToken(nil), jobToken(object{"act": object{"sub": "x"}}), ""},
	} {
		var more []string
		if test.actor != "" {
			more = []string{"actor_token", test.actor, "actor_token_type", typeJWT}
		}
		w := f.trade(test.subject, more...)
		if test.want == "" {
			if status, code := says(t, w); status != 400 || code != badRequest {
				t.Errorf("%s: %d %s", name, status, w.Body)
			}
			continue
		}
		if w.Code != 200 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
			continue
		}
		parsed, err := oauth.Parse(answerOf(t, w.Body.Bytes()).AccessToken)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(parsed.Claims.All["act"]); test.want != "any" && got != test.want {
			t.Errorf("%s: %s", name, got)
		}
		for member := range parsed.Claims.All { // J13: nothing of a foreign token becomes a member of ours
			if !strings.Contains(" iss sub aud client_id scope iat nbf exp jti act ", " "+member+" ") {
				t.Errorf("%s: member %q", name, member)
			}
		}
	}
	w := f.trade(personToken(nil), "actor_token", job, "actor_token_type", typeJWT)
	if answer := answerOf(t, w.Body.Bytes()); answer.ExpiresIn != 200 {
		t.Errorf("it outlives its actor: %d", answer.ExpiresIn)
	}
}
