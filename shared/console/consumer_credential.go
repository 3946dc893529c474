package console

import (
	"errors"
	"net/http"
)

// consumerTab is the first tab of a consumer.
type consumerTab struct {
	Credential credential
	Several    []string // methods, where there is more than one
	Identifier []copied
	Keys       []object // API keys or HMAC keys
	ID         string   // the member that names one
	Word       string   // what one is called
}

func consumerAuthentication(v *visit, t *thing) (any, error) {
	shown := consumerTab{Credential: credentialOf(t.object), ID: "id", Word: "API key"}
	for _, method := range allMethods {
		if t.object.at(method) != nil {
			shown.Several = append(shown.Several, wordOfMethod[method])
		}
	}
	switch shown.Credential.Type {
	case "jwt":
		shown.Identifier = []copied{{Label: "Claim " + shown.Credential.Claim, Value: shown.Credential.Value}}
		return shown, nil
	case "hmac":
		shown.ID, shown.Word = "access_key", "HMAC key"
	case "": // there is none yet
		shown.Credential = newCredential()
		shown.Credential.New = false
		return shown, nil
	}
	var l list
	if _, err := v.get(keysAt(t), &l); err != nil {
		return nil, err
	}
	shown.Keys = l.Items
	return shown, nil
}

// keysAt is where the keys of a consumer stand.
func keysAt(t *thing) string {
	if t.object.at("api_key") != nil {
		return t.at() + "/api_keys"
	}
	return t.at() + "/hmac_keys"
}

func createKey(v *visit, t *thing) error {
	at, body := keysAt(t), map[string]any{}
	expires, wrong := parseTimeOr(v.form.Get("expires_at"))
	switch {
	case wrong != "":
		return refusal("The expiry " + wrong)
	case t.object.at("api_key") == nil:
		return v.reveal(at, body, "HMAC key created", "Copy both now: the secret is shown this once.", "Secret key")
	case expires != nil:
		body["expires_at"] = expires
	}
	return v.reveal(at, body, "API key created", "Copy it now: it is shown this once.", "API key")
}

func changeKey(v *visit, t *thing) error { return v.changeItem(keysAt(t) + path(v.form.Get("id"))) }

func deleteKey(v *visit, t *thing) error {
	_, err := v.api(http.MethodDelete, keysAt(t)+path(v.form.Get("id")), nil)
	return err
}

// generateKey makes a new signing key of a JWT consumer in place of the one that it has.
func generateKey(v *visit, t *thing) error {
	return v.generate(t, credential{Type: "jwt", Keys: v.form.Get("kind")})
}

// confirmPage asks before a consumer's credential is replaced.
type confirmPage struct {
	*thing
	From, To string
	Fields   []copied // the form, to be sent again
	Version  string
}

// changeAuthentication saves how a consumer proves itself. Another type ends every credential that it has: so that is asked first.
func changeAuthentication(v *visit, t *thing) (answer, error) {
	if !v.posted() {
		return answer{to: t.Href() + "?tab=authentication"}, nil
	}
	c, had := typedCredential(v.form), credentialOf(t.object)
	if had.Type != "" && c.Type != had.Type && v.form.Get("confirm") == "" {
		shown := confirmPage{thing: t, From: wordOfMethod[had.Type], To: wordOfMethod[c.Type], Version: v.form.Get("version")}
		for _, name := range []string{"type", "keys", "jwks_url", "jwks", "claim", "value", "source", "param"} {
			shown.Fields = append(shown.Fields, copied{Label: "credential." + name, Value: v.form.Get("credential." + name)})
		}
		above := append(t.crumbs(), crumb{t.heading(), t.Href()})
		return answer{page: "confirm", title: "Change authentication", crumbs: above, data: shown}, nil
	}
	err := error(&problem{Status: http.StatusPreconditionFailed, Title: "Precondition Failed"})
	if v.form.Get("version") == t.version {
		err = v.replaceCredential(t, c)
	}
	var p *problem
	switch {
	case errors.As(err, &p) && p.Status != http.StatusUnauthorized:
		_ = conflictSays(p) // a conflict's words
		now, err := v.thing(t.kind, "", t.name)
		if err != nil {
			return answer{}, err
		}
		return v.showObject(now, "authentication", formState{problem: p})
	case err != nil:
		return answer{}, err
	case v.revealed == nil:
		return answer{to: t.Href() + "?tab=authentication&done=saved"}, nil
	}
	if t, err = v.thing(t.kind, "", t.name); err != nil {
		return answer{}, err
	}
	return v.showObject(t, "authentication", formState{})
}

// replaceCredential writes the new credential and removes those of other methods. A key that is generated is made first, so that the
// consumer never stands without one.
func (v *visit) replaceCredential(t *thing, c credential) error {
	had := credentialOf(t.object).Type
	if c.generated() {
		err := v.generate(t, c)
		if err == nil {
			t, err = v.thing(t.kind, "", t.name)
		}
		if err != nil || had == c.Type {
			return err
		}
	}
	next := t.object.clone()
	if !c.generated() {
		if err := c.onto(next); err != nil {
			return err
		}
	}
	if had != c.Type {
		only(c.Type, next)
	}
	got, err := v.api(http.MethodPut, t.at(), next, ifMatch(t.version)...)
	if err != nil {
		return err
	}
	made := object{}
	if err := got.decode(&made); err != nil {
		return err
	}
	if !c.generated() {
		v.revealGenerated(made)
	}
	return nil
}
