package console

import (
	"errors"
	"net/http"
	"slices"
	"strings"
)

// applicationsTab are the M2M applications of an instance.
type applicationsTab struct {
	Clients, Servers []listed
	Create           string
	More             string // link behind the clients shown
	Prefix           string
	On               bool
}

func applications(v *visit, t *thing) (any, error) {
	query := v.r.URL.Query()
	shown := applicationsTab{Prefix: query.Get("prefix"), On: t.object.text("m2m") != "disabled"}
	var clients, servers list
	ask := values("limit", itoa(perPage), "prefix", shown.Prefix, "after", query.Get("after"))
	if _, err := v.get(t.at()+"/clients?"+ask, &clients); err != nil {
		return nil, err
	}
	if _, err := v.get(t.at()+"/resource_servers", &servers); err != nil {
		return nil, err
	}
	for _, item := range clients.Items {
		name := item.text("id")
		shown.Clients = append(shown.Clients, listed{name, href("instances", t.name, "clients", name), item})
	}
	for _, item := range servers.Items {
		if name := item.text("identifier"); item["builtin"] != true {
			shown.Servers = append(shown.Servers, listed{name, href("instances", t.name, "resource_servers", name), item})
		}
	}
	if clients.Next != "" {
		shown.More = "?" + values("tab", "applications", "prefix", shown.Prefix, "after", clients.Next)
	}
	if v.may("identity.write", t.name) {
		shown.Create = href("new", "instances", t.name, "clients")
	}
	return shown, nil
}

// applicationKind is the form of a new application, which is one or the other.
var applicationKind kind

func init() {
	client, server := clientKind(), serverKind()
	applicationKind = kind{
		path: "clients", title: "M2M Applications", one: "M2M application", key: "id", half: "identity", create: "Create M2M application",
		form: []section{
			{fields: client.form[0].fields[:1]}, {fields: client.form[0].fields[1:]}, {fields: server.form[0].fields[1:]},
		},
	}
}

// newApplication shows the form of a new M2M application, and creates a client or a server.
func newApplication(v *visit, parent string) (answer, error) {
	isServer := v.r.URL.Query().Get("type") == "server"
	if v.posted() {
		isServer = v.form.Get("type") == "server"
	}
	kindOf := func(p *newPage) { p.Part, p.Extra = "application", isServer }
	state := formState{object: object{}}
	if v.posted() {
		k, _, _, _ := find([]string{"instances", parent, map[bool]string{true: "resource_servers", false: "clients"}[isServer]})
		made, again, err := v.create(k, parent, state.object)
		if err != nil {
			return answer{}, err
		}
		if again == nil {
			return answer{to: href(k.segments(parent, made.text(k.key))...) + "?done=created"}, nil
		}
		state = *again
	}
	return v.showNew(&applicationKind, parent, state, kindOf)
}

// upgrade asks whether to turn M2M Management on, and does.
func upgrade(v *visit, t *thing) (answer, error) {
	a := answer{page: "upgrade", title: "Upgrade " + t.name, crumbs: append(t.crumbs(), crumb{t.name, t.Href()}), data: t}
	if !v.posted() {
		return a, nil
	}
	_, err := v.api(http.MethodPatch, t.at(), map[string]any{"m2m": "enabled"}, ifMatch(t.version)...)
	if err != nil {
		return answer{}, err
	}
	return answer{to: t.Href() + "?done=upgraded"}, nil
}

// signingKey is one of an instance's keys.
type signingKey struct {
	ID        string `json:"kid"`
	Algorithm string `json:"algorithm"`
	State     string `json:"state"`
	Since     string `json:"since"`
	Until     string `json:"until"`
}

type keysTab struct {
	Keys []signingKey `json:"keys"`
	URLs []copied     `json:"-"`
}

func signingKeys(v *visit, t *thing) (any, error) {
	var shown keysTab
	if _, err := v.get(t.at()+"/keys", &shown); err != nil {
		return nil, err
	}
	shown.URLs = v.issuer(t.name)
	return shown, nil
}

// issuer are the addresses of an instance.
func (v *visit) issuer(instance string) []copied {
	issuer := v.c.o.PublicURL + "/" + instance + "/oauth2"
	return []copied{
		{Label: "Issuer", Value: issuer}, {Label: "Token endpoint", Value: issuer + "/token"},
		{Label: "Sync IDaaS Provision JWKS Endpoint", Value: issuer + "/jwks"},
	}
}

func rotateKey(v *visit, t *thing) error {
	_, err := v.api(http.MethodPost, t.at()+"/keys/rotate", nil)
	return err
}

func revokeKey(v *visit, t *thing) error {
	_, err := v.api(http.MethodPost, t.at()+"/keys/revoke", map[string]string{"kid": v.form.Get("kid")})
	return err
}

// clientTab is the first tab of a client application.
type clientTab struct {
	IDs     []copied
	Secrets []object
	More    bool // another secret may be made
}

func clientGeneral(v *visit, t *thing) (any, error) {
	shown := clientTab{IDs: append([]copied{{Label: "client_id", Value: t.name}}, v.issuer(t.parent)[1])}
	var l list
	if _, err := v.get(t.at()+"/secrets", &l); err != nil {
		return nil, err
	}
	shown.Secrets, shown.More = l.Items, len(l.Items) < 2
	return shown, nil
}

func createSecret(v *visit, t *thing) error {
	body := map[string]any{}
	if at, wrong := parseTimeOr(v.form.Get("expires_at")); wrong != "" {
		return refusal("The expiry " + wrong)
	} else if at != nil {
		body["expires_at"] = at
	}
	return v.reveal(t.at()+"/secrets", body, "Client secret created",
		"Copy it now. Where the instance keeps its secrets sealed, Show opens it again.", "client_secret")
}

func parseTimeOr(text string) (any, string) {
	if strings.TrimSpace(text) == "" {
		return nil, ""
	}
	return parseTime(strings.TrimSpace(text))
}

// madeSecret is what the admin API tells once.
type madeSecret struct {
	ID        string `json:"id"`
	AccessKey string `json:"access_key"`
	Secret    string `json:"secret"`
}

// reveal makes a secret and shows it in this one answer.
func (v *visit) reveal(at string, body any, title, says, label string) error {
	got, err := v.api(http.MethodPost, at, body)
	if err != nil {
		return err
	}
	var made madeSecret
	if err := got.decode(&made); err != nil {
		return err
	}
	v.revealed = &revealed{Of: made.ID + made.AccessKey, Title: title, Says: says}
	if made.AccessKey != "" {
		v.revealed.Items = append(v.revealed.Items, copied{Label: "Access key", Value: made.AccessKey})
	}
	v.revealed.Items = append(v.revealed.Items, copied{Label: label, Value: made.Secret})
	return nil
}

func showSecret(v *visit, t *thing) error {
	id := v.form.Get("id")
	got, err := v.api(http.MethodPost, t.at()+"/secrets"+path(id)+"/show", nil)
	if err != nil {
		return err
	}
	var opened madeSecret
	if err := got.decode(&opened); err != nil {
		return err
	}
	v.revealed = &revealed{Of: id, Items: []copied{{Label: "client_secret", Value: opened.Secret}}}
	return nil
}

// changeItem enables, disables, or sets the expiry of a secret or key.
func (v *visit) changeItem(at string) error {
	body := map[string]any{}
	if status := v.form.Get("status"); status != "" {
		body["status"] = status
	}
	if v.form.Has("expires_at") {
		at, wrong := parseTimeOr(v.form.Get("expires_at"))
		if wrong != "" {
			return refusal("The expiry " + wrong)
		}
		body["expires_at"] = at
	}
	_, err := v.api(http.MethodPatch, at, body)
	return err
}

func changeSecret(v *visit, t *thing) error {
	return v.changeItem(t.at() + "/secrets" + path(v.form.Get("id")))
}

func deleteSecret(v *visit, t *thing) error {
	_, err := v.api(http.MethodDelete, t.at()+"/secrets"+path(v.form.Get("id")), nil)
	return err
}

// grantable is a scope that a client may be given.
type grantable struct {
	Server, ServerName, Value, Name string
	Granted                         bool
}

// clientPermissions offers every scope of the instance, checked where the client has it.
func clientPermissions(v *visit, t *thing) (any, error) {
	var servers list
	if _, err := v.get(path("instances", t.parent)+"/resource_servers", &servers); err != nil {
		return nil, err
	}
	var all []grantable
	for _, server := range servers.Items {
		has := []string{}
		for _, p := range t.object.list("permissions") {
			if p.text("resource_server") == server.text("identifier") {
				has = append(has, p.strings("scopes")...)
			}
		}
		for _, scope := range server.list("scopes") {
			all = append(all, grantable{server.text("identifier"), server.text("name"), scope.text("value"), scope.text("name"),
				slices.Contains(has, scope.text("value"))})
		}
	}
	return all, nil
}

// grant replaces what a client may ask for by what is checked.
func grant(v *visit, t *thing) error {
	permissions := []any{}
	at := map[string]int{}
	for _, pair := range v.form["grant"] {
		cut := strings.LastIndexByte(pair, ' ') // a scope has no space in it
		if cut < 0 {
			continue
		}
		server, scope := pair[:cut], pair[cut+1:]
		n, there := at[server]
		if !there {
			n = len(permissions)
			at[server], permissions = n, append(permissions, map[string]any{"resource_server": server, "scopes": []any{}})
		}
		one, _ := permissions[n].(map[string]any)
		scopes, _ := one["scopes"].([]any)
		one["scopes"] = append(scopes, scope)
	}
	_, err := v.api(http.MethodPut, t.at()+"/permissions", permissions, ifMatch(v.form.Get("version"))...)
	return conflictSays(err)
}

// conflictSays tells what to do where somebody else was faster and there is nothing typed to keep.
func conflictSays(err error) error {
	var p *problem
	if errors.As(err, &p) && p.Status == http.StatusPreconditionFailed {
		p.Detail = "Somebody changed this meanwhile. Below is how it stands now; nothing of yours was saved, so decide again."
	}
	return err
}

func serverPermissions(v *visit, t *thing) (any, error) { return t.object.list("scopes"), nil }

func loginMethods(v *visit, t *thing) (any, error) { return v.issuer(t.parent), nil }

// addScope adds a permission to a server application.
func addScope(v *visit, t *thing) error {
	name, value := strings.TrimSpace(v.form.Get("scope_name")), strings.TrimSpace(v.form.Get("scope_value"))
	if name == "" || value == "" {
		return refusal("A permission has a Scope Name and a Scope Value; both are required.")
	}
	scopes, _ := t.object.at("scopes").([]any)
	t.object["scopes"] = append(scopes, map[string]any{"name": name, "value": value})
	_, err := v.api(http.MethodPut, t.at(), t.object, ifMatch(t.version)...)
	return err
}

func removeScope(v *visit, t *thing) error {
	scopes, _ := t.object.at("scopes").([]any)
	t.object.set("scopes", orNil(slices.DeleteFunc(slices.Clone(scopes), func(item any) bool {
		scope, _ := item.(map[string]any)
		return object(scope).text("value") == v.form.Get("scope_value")
	})))
	_, err := v.api(http.MethodPut, t.at(), t.object, ifMatch(t.version)...)
	return err
}
