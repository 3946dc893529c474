package console

import (
	"net/http"
	"strings"
	"time"
)

// authorizationTab is who may call what, seen from one side.
type authorizationTab struct {
	Items []authorized
	Names []string // that may be authorized: of the other side
	More  string   // link behind those shown
	Field string   // of the form: api or consumer
	Open  bool     // the API asks nobody
}

// authorized is one consumer on one API.
type authorized struct {
	Name, Href    string
	Models, Tools []string
	Expires       string
	Expired       bool
	Disabled      bool
}

// consumerAuthorization are the APIs that a consumer may call.
func consumerAuthorization(v *visit, t *thing) (any, error) {
	shown := authorizationTab{Field: "api"}
	now := v.c.o.Now()
	for _, item := range t.object.list("authorizations") {
		api, expires := item.text("api"), item.text("expires_at")
		at, err := time.Parse(time.RFC3339, expires)
		shown.Items = append(shown.Items, authorized{
			Name: api, Href: href("apis", api), Models: item.strings("models"), Tools: item.strings("tools"), Expires: expires,
			Expired: err == nil && !now.Before(at),
		})
	}
	var err error
	shown.Names, err = v.names("/apis", "name")
	return shown, err
}

// apiConsumers are the consumers that may call an API.
func apiConsumers(v *visit, t *thing) (any, error) {
	shown := authorizationTab{Field: "consumer", Open: t.object.at("authentication") == "disabled"}
	var page struct {
		Items []struct {
			Consumer      string `json:"consumer"`
			Status        string `json:"status"`
			Authorization object `json:"authorization"`
			Expired       bool   `json:"expired"`
		} `json:"items"`
		Next string `json:"next"`
	}
	after := v.r.URL.Query().Get("after")
	if _, err := v.get(t.at()+"/consumers?"+values("limit", itoa(perPage), "after", after), &page); err != nil {
		return nil, err
	}
	for _, item := range page.Items {
		shown.Items = append(shown.Items, authorized{
			Name: item.Consumer, Href: href("consumers", item.Consumer), Models: item.Authorization.strings("models"),
			Tools: item.Authorization.strings("tools"), Expires: item.Authorization.text("expires_at"), Expired: item.Expired,
			Disabled: item.Status == "disabled",
		})
	}
	if page.Next != "" {
		shown.More = "?" + values("tab", "consumers", "after", page.Next)
	}
	var err error
	shown.Names, err = v.names("/consumers", "name")
	return shown, err
}

// authorize lets a consumer call an API as the form says.
func (v *visit) authorize(consumer, api string) error {
	if consumer == "" || api == "" {
		return refusal("Choose who shall call what.")
	}
	body := map[string]any{}
	for _, name := range []string{"models", "tools"} {
		if list := parseLines(strings.ReplaceAll(v.form.Get(name), ",", "\n"), false); list != nil {
			body[name] = list
		}
	}
	expires, wrong := parseTimeOr(v.form.Get("expires_at"))
	if wrong != "" {
		return refusal("The expiry " + wrong)
	}
	if expires != nil {
		body["expires_at"] = expires
	}
	_, err := v.api(http.MethodPut, path("consumers", consumer, "authorizations", api), body)
	return err
}

func (v *visit) unauthorize(consumer, api string) error {
	_, err := v.api(http.MethodDelete, path("consumers", consumer, "authorizations", api), nil)
	return err
}

func authorizeAPI(v *visit, t *thing) error   { return v.authorize(t.name, v.form.Get("api")) }
func unauthorizeAPI(v *visit, t *thing) error { return v.unauthorize(t.name, v.form.Get("api")) }

func authorizeConsumer(v *visit, t *thing) error {
	return v.authorize(strings.TrimSpace(v.form.Get("consumer")), t.name)
}
func unauthorizeConsumer(v *visit, t *thing) error {
	return v.unauthorize(v.form.Get("consumer"), t.name)
}
