package console

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// recipe is the keyless recipe as one form: what it makes, and under which names.
type recipe struct {
	Instance, Description, Agreement string
	ServerName, Identifier           string
	ScopeName, ScopeValue            string
	ClientName, ClientID             string
	API                              string // an API that is there; "": a new one
	APIName, BasePath                string
	Upstream, Protocol, BaseURL, Key string
	Consumer                         string
}

// newRecipe is what the form begins with.
func newRecipe() recipe {
	return recipe{
		Instance: "acme", Description: "Machines", ServerName: "Model gateway", Identifier: "cloud:idaas:aigateway:models",
		ScopeName: "Invoke models", ScopeValue: "model.invoke", ClientName: "Nightly report", ClientID: "nightly-report",
		APIName: "models", BasePath: "/v1", Upstream: "model-studio", Protocol: "openai",
		BaseURL: "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", Consumer: "nightly-report",
	}
}

func readRecipe(form url.Values) recipe {
	get := func(name string) string { return strings.TrimSpace(form.Get(name)) }
	return recipe{
		get("instance"), get("description"), get("agreement"), get("server_name"), get("identifier"), get("scope_name"), get("scope_value"),
		get("client_name"), get("client_id"), get("api"), get("api_name"), get("base_path"), get("upstream"), get("protocol"),
		get("base_url"), get("key"), get("consumer"),
	}
}

// guidePage is the recipe on its way, and what it made.
type guidePage struct {
	recipe
	APIs     []string
	Steps    []guideStep
	Problem  *problem
	Done     bool
	Secret   string
	Commands []copied
}

type guideStep struct {
	Title, Href string
	Made        bool // or it was there already
}

// guide shows the recipe, and follows it. Each step finds what is there already, so that one that failed can be sent again.
func guide(v *visit, _ []string) (answer, error) {
	if !v.may("identity.write", "") || !v.may("gateway.write", "") {
		return answer{}, &problem{
			Status: http.StatusForbidden, Title: "Forbidden", Detail: "It needs the rights identity.write and gateway.write",
		}
	}
	shown := guidePage{recipe: newRecipe()}
	var err error
	if shown.APIs, err = v.names("/apis", "name"); err != nil {
		return answer{}, err
	}
	if len(shown.APIs) > 0 {
		shown.API = shown.APIs[0]
	}
	a := answer{page: "guide", title: "Keyless recipe"}
	if v.posted() {
		shown.recipe = readRecipe(v.form)
		err := v.follow(&shown)
		var p *problem
		if errors.As(err, &p) && p.Status != http.StatusUnauthorized {
			shown.Problem, a.status = p, p.Status
		} else if err != nil {
			return answer{}, err
		}
	}
	a.data = shown
	return a, nil
}

// follow makes what the recipe names, in the order in which each needs the one before.
func (v *visit) follow(g *guidePage) error {
	if g.Agreement == "" {
		return refusal("Agree to the privacy settings of the instance.")
	}
	steps := []struct {
		title string
		to    []string
		do    func(*guidePage) error
	}{
		{"Instance with M2M Management", []string{"instances", g.Instance}, v.recipeInstance},
		{"Server application with its permission", []string{"instances", g.Instance, "resource_servers", g.Identifier}, v.recipeServer},
		{"Client application", []string{"instances", g.Instance, "clients", g.ClientID}, v.recipeClient},
		{"Client secret", []string{"instances", g.Instance, "clients", g.ClientID}, v.recipeSecret},
		{"Upstream and API", []string{"apis", g.api()}, v.recipeAPI},
		{"Consumer, authorized", []string{"consumers", g.Consumer}, v.recipeConsumer},
	}
	for _, s := range steps {
		if err := s.do(g); err != nil {
			g.Steps = append(g.Steps, guideStep{Title: s.title})
			return err
		}
		g.Steps = append(g.Steps, guideStep{s.title, href(s.to...), true})
	}
	g.Done, g.Commands = true, g.commands(v.c.o.PublicURL)
	return nil
}

// api is the API that the recipe authorizes on.
func (g *guidePage) api() string {
	if g.API != "" {
		return g.API
	}
	return g.APIName
}

// ensure reads an object, or makes it; it returns its version.
func (v *visit) ensure(list []string, name string, make object) (object, string, error) {
	o := object{}
	version, err := v.get(path(append(slices.Clone(list), name)...), &o)
	var p *problem
	if !errors.As(err, &p) || p.Status != http.StatusNotFound {
		return o, version, err
	}
	got, err := v.api(http.MethodPost, path(list...), make)
	if err != nil {
		return nil, "", err
	}
	return o, got.version(), got.decode(&o)
}

func (v *visit) recipeInstance(g *guidePage) error {
	o, version, err := v.ensure([]string{"instances"}, g.Instance, object{
		"id": g.Instance, "description": g.Description, "privacy_agreement": "accepted"})
	if err != nil || o.text("m2m") != "disabled" {
		return err
	}
	_, err = v.api(http.MethodPatch, path("instances", g.Instance), map[string]any{"m2m": "enabled"}, ifMatch(version)...)
	return err
}

func (v *visit) recipeServer(g *guidePage) error {
	scope := map[string]any{"name": g.ScopeName, "value": g.ScopeValue}
	at := []string{"instances", g.Instance, "resource_servers"}
	o, version, err := v.ensure(at, g.Identifier, object{"identifier": g.Identifier, "name": g.ServerName, "scopes": []any{scope}})
	if err != nil {
		return err
	}
	for _, has := range o.list("scopes") {
		if has.text("value") == g.ScopeValue {
			return nil
		}
	}
	scopes, _ := o["scopes"].([]any)
	o["scopes"] = append(scopes, scope)
	delete(o, "version")
	_, err = v.api(http.MethodPut, path(append(at, g.Identifier)...), o, ifMatch(version)...)
	return err
}

// recipeClient makes the client with its permission; one that is there gets the permission beside its own.
func (v *visit) recipeClient(g *guidePage) error {
	permission := map[string]any{"resource_server": g.Identifier, "scopes": []any{g.ScopeValue}}
	at := []string{"instances", g.Instance, "clients"}
	o, version, err := v.ensure(at, g.ClientID, object{"id": g.ClientID, "name": g.ClientName, "permissions": []any{permission}})
	if err != nil {
		return err
	}
	for _, generated := range o.list("generated") {
		g.Secret = generated.text("secret")
	}
	permissions, _ := o["permissions"].([]any)
	for i, has := range o.list("permissions") {
		if has.text("resource_server") != g.Identifier {
			continue
		}
		if slices.Contains(has.strings("scopes"), g.ScopeValue) {
			return nil
		}
		scopes, _ := has["scopes"].([]any)
		has["scopes"] = append(scopes, g.ScopeValue)
		permissions[i], permission = map[string]any(has), nil
	}
	if permission != nil {
		permissions = append(permissions, permission)
	}
	_, err = v.api(http.MethodPut, path(append(at, g.ClientID, "permissions")...), permissions, ifMatch(version)...)
	return err
}

// recipeSecret makes a secret, where the client was there before and has room for one.
func (v *visit) recipeSecret(g *guidePage) error {
	if g.Secret != "" {
		return nil
	}
	at := path("instances", g.Instance, "clients", g.ClientID, "secrets")
	got, err := v.api(http.MethodPost, at, map[string]any{})
	var p *problem
	if errors.As(err, &p) && p.Status == http.StatusConflict {
		return nil // it has two; the commands name the variable alone
	}
	if err != nil {
		return err
	}
	var made madeSecret
	err = got.decode(&made)
	g.Secret = made.Secret
	return err
}

func (v *visit) recipeAPI(g *guidePage) error {
	if g.API != "" {
		o := object{}
		_, err := v.get(path("apis", g.API), &o)
		g.BasePath = o.text("base_path")
		return err
	}
	upstream := object{"name": g.Upstream, "protocol": g.Protocol, "base_url": g.BaseURL}
	if g.Key != "" {
		upstream["api_keys"] = []any{g.Key}
	}
	if _, _, err := v.ensure([]string{"upstreams"}, g.Upstream, upstream); err != nil {
		return err
	}
	_, _, err := v.ensure([]string{"apis"}, g.APIName, object{
		"name": g.APIName, "type": "llm", "base_path": g.BasePath, "strip_base_path": true,
		"upstreams": []any{map[string]any{"upstream": g.Upstream}}})
	return err
}

func (v *visit) recipeConsumer(g *guidePage) error {
	issuer := v.issuer(g.Instance)
	_, _, err := v.ensure([]string{"consumers"}, g.Consumer, object{
		"name": g.Consumer, "jwt": map[string]any{"jwks_url": issuer[2].Value, "claim": "scope", "value": g.ScopeValue,
			"issuer": issuer[0].Value, "audience": g.Identifier}})
	if err != nil {
		return err
	}
	_, err = v.api(http.MethodPut, path("consumers", g.Consumer, "authorizations", g.api()), map[string]any{})
	return err
}

// commands are what works now, ready to paste.
func (g *guidePage) commands(public string) []copied {
	secret := g.Secret
	if secret == "" {
		secret = "$CLIENT_SECRET"
	}
	base := strings.TrimSuffix(g.BasePath, "/")
	quote := func(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
	return []copied{
		{Label: "A machine gets a token, by its client secret", Long: true, Value: fmt.Sprintf(
			"TOKEN=$(curl -s %s \\\n  -u %s -d grant_type=client_credentials \\\n  --data-urlencode %s \\\n"+
				"  | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')",
			quote(public+"/"+g.Instance+"/oauth2/token"),
			strings.Replace(quote(g.ClientID+":"+secret), "$CLIENT_SECRET'", `'"$CLIENT_SECRET"`, 1),
			quote("scope="+g.Identifier+"|"+g.ScopeValue))},
		{Label: "It calls the model with it: no provider's key anywhere", Long: true, Value: fmt.Sprintf(
			"curl -sN %s \\\n  -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json' \\\n"+
				"  -d '{\"model\":\"demo\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}'",
			quote(public+base+"/chat/completions"))},
	}
}
