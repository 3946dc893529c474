package console

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// credential is how a consumer proves itself, as a form.
type credential struct {
	Type      string // jwt, api_key or hmac
	Keys      string // of jwt: url, jwks, symmetric or pair
	URL, JWKS string
	Claim     string
	Value     string
	Source    string // of api_key: bearer, header or query
	Param     string // the header's or parameter's name
	New       bool
}

// The places of a JWT consumer's keys.
const (
	keysURL       = "url"
	keysPasted    = "jwks"
	keysSymmetric = "symmetric"
	keysPair      = "pair"
)

// credentialOf reads the credential of a consumer; of several the first.
func credentialOf(o object) credential {
	c := credential{Keys: keysURL, Source: "bearer"}
	for _, method := range allMethods {
		if o.at(method) != nil && c.Type == "" {
			c.Type = method
		}
	}
	c.URL, c.JWKS, c.Claim, c.Value = o.text("jwt.jwks_url"), o.text("jwt.jwks"), o.text("jwt.claim"), o.text("jwt.value")
	if c.JWKS != "" {
		c.Keys = keysPasted
	}
	for _, in := range []string{"header", "query"} {
		if name := o.text("api_key.source." + in); name != "" {
			c.Source, c.Param = in, name
		}
	}
	if c.Claim == "" {
		c.Claim = defaultClaim
	}
	return c
}

// defaultClaim names the consumer where nothing else is said.
const defaultClaim = "uid"

// accessKeyBytes make an access key unique everywhere.
const accessKeyBytes = 12

// claim is the member of that name: the default is written by leaving it out.
func (c credential) claim() any {
	if c.Claim == defaultClaim {
		return nil
	}
	return orNone(c.Claim)
}

// identifierBytes make a consumer identifier: nobody guesses it, and nobody else has it.
const identifierBytes = 16

// newCredential is what the form of a new consumer begins with: an identifier of its own.
func newCredential() credential {
	return credential{Type: "api_key", Keys: keysURL, Claim: defaultClaim, Value: random(identifierBytes), Source: "bearer", New: true}
}

// typedCredential is a credential as a form sends it.
func typedCredential(form url.Values) credential {
	get := func(name string) string { return strings.TrimSpace(form.Get("credential." + name)) }
	return credential{
		Type: get("type"), Keys: get("keys"), URL: get("jwks_url"), JWKS: get("jwks"), Claim: get("claim"), Value: get("value"),
		Source: get("source"), Param: get("param"),
	}
}

// generated reports whether the keys are yet to be made.
func (c credential) generated() bool {
	return c.Type == "jwt" && (c.Keys == keysSymmetric || c.Keys == keysPair)
}

// onto writes the credential onto a consumer, whose other settings of the same method stay. Keys that are yet to be made are left out.
func (c credential) onto(o object) error {
	switch c.Type {
	case "jwt":
		c.ontoJWT(o)
	case "api_key":
		if o.at("api_key") == nil {
			o["api_key"] = map[string]any{}
		}
		if credential, is := o["api_key"].(map[string]any); is && c.Source == "bearer" {
			delete(credential, "source") // not set: a credential without members is one
		} else if is {
			credential["source"] = map[string]any{c.Source: c.Param}
		}
	case "hmac":
		if o.at("hmac") == nil {
			o["hmac"] = map[string]any{"keys": []any{map[string]any{"access_key": "ak_" + random(accessKeyBytes)}}}
		}
	default:
		return refusal("Choose how the consumer proves itself: API Key, JWT or HMAC.")
	}
	return nil
}

func (c credential) ontoJWT(o object) {
	switch c.Keys {
	case keysURL:
		o.set("jwt.jwks", nil)
		o.set("jwt.jwks_url", orNone(c.URL))
	case keysPasted:
		o.set("jwt.jwks_url", nil)
		o.set("jwt.jwks", orNone(c.JWKS))
	}
	o.set("jwt.claim", c.claim())
	o.set("jwt.value", orNone(c.Value))
}

func orNone(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// only removes every credential of a consumer but one.
func only(method string, o object) {
	for _, other := range allMethods {
		if other != method {
			delete(o, other)
		}
	}
}

// newConsumer shows the form of a new consumer, and creates it with its credential.
func newConsumer(v *visit, k *kind) (answer, error) {
	c := newCredential()
	withCredential := func(p *newPage) { p.Part, p.Extra = "credential", c }
	if !v.posted() {
		return v.showNew(k, "", formState{object: object{}}, withCredential)
	}
	c = typedCredential(v.form)
	c.New = true
	o := object{}
	if c.generated() {
		o["api_key"] = map[string]any{} // no consumer stands without a credential, and this one's key is yet to be made
	} else if err := c.onto(o); err != nil {
		var p *problem
		errors.As(err, &p)
		write(k.form, v.form, o)
		return v.showNew(k, "", formState{object: o, problem: p}, withCredential)
	}
	made, again, err := v.create(k, "", o)
	if err != nil {
		return answer{}, err
	}
	if again != nil {
		return v.showNew(k, "", *again, withCredential)
	}
	return v.created(k, made, c)
}

// created shows a consumer that was made, with what it was given.
func (v *visit) created(k *kind, made object, c credential) (answer, error) {
	t, err := v.thing(k, "", made.text("name"))
	if err != nil {
		return answer{}, err
	}
	if c.generated() {
		err = v.replaceCredential(t, c)
	} else {
		v.revealGenerated(made)
	}
	var p *problem
	switch {
	case errors.As(err, &p):
		return v.showObject(t, "authentication", formState{problem: p})
	case err != nil:
		return answer{}, err
	case v.revealed == nil:
		return answer{to: t.Href() + "?done=created"}, nil
	}
	if t, err = v.thing(k, "", t.name); err != nil {
		return answer{}, err
	}
	return v.showObject(t, "authentication", formState{})
}

// revealGenerated shows what the API generated for a consumer.
func (v *visit) revealGenerated(made object) {
	for _, g := range made.list("generated") {
		method, id, _ := strings.Cut(g.text("id"), ".")
		v.revealed = &revealed{Of: id, Title: "API key created", Says: "Copy it now: it is shown this once.",
			Items: []copied{{Label: "API key", Value: g.text("secret")}}}
		if method == "hmac" {
			v.revealed.Title, v.revealed.Says = "HMAC key created", "Copy both now: the secret is shown this once."
			v.revealed.Items = []copied{{Label: "Access key", Value: id}, {Label: "Secret key", Value: g.text("secret")}}
		}
	}
}

// madeKey is what a consumer keeps of a generated key.
type madeKey struct {
	JWK   json.RawMessage `json:"jwk"`
	PEM   string          `json:"pem"`
	Claim string          `json:"claim"`
	Value string          `json:"value"`
}

// generate makes the key with which a consumer signs its own tokens, and then sets what was typed of its identifier.
func (v *visit) generate(t *thing, c credential) error {
	got, err := v.api(http.MethodPost, t.at()+"/jwt/key", map[string]string{"kind": c.Keys})
	if err != nil {
		return err
	}
	var made madeKey
	if err := got.decode(&made); err != nil {
		return err
	}
	identifier := map[string]any{}
	if c.Value != "" && c.Value != made.Value {
		identifier["value"], made.Value = c.Value, c.Value
	}
	if c.Claim != "" && c.Claim != made.Claim {
		identifier["claim"], made.Claim = c.Claim, c.Claim
	}
	v.revealed = &revealed{Title: "Signing key created", Says: "Copy it now: it is shown this once. The consumer signs its tokens " +
		"with it, and writes its identifier into them.", Items: []copied{{Label: "JWK", Value: string(made.JWK), Long: true}}}
	if made.PEM != "" {
		v.revealed.Items = append(v.revealed.Items, copied{Label: "PEM", Value: made.PEM, Long: true})
	}
	v.revealed.Items = append(v.revealed.Items, copied{Label: "Claim " + made.Claim, Value: made.Value})
	if len(identifier) == 0 {
		return nil
	}
	_, err = v.api(http.MethodPatch, t.at(), map[string]any{"jwt": identifier}, ifMatch(got.version())...)
	return err
}
