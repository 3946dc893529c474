package console

import (
	"errors"
	"net/http"
)

// action does something to an object that is more than saving its fields. It returns the tab to show afterwards, and what was done; or an
// answer of its own.
type action struct {
	tab  string // where it stands
	done string // of doneWords
	do   func(v *visit, t *thing) error
	page func(v *visit, t *thing) (answer, error) // in place of do, and for GET
}

// actions by kind and name.
var actions map[string]action

func init() {
	actions = map[string]action{
		"instances/upgrade": {page: upgrade},
		"instances/rotate":  {tab: "keys", done: "rotated", do: rotateKey},
		"instances/revoke":  {tab: "keys", done: "revoked", do: revokeKey},

		"clients/create-secret": {tab: "general", do: createSecret},
		"clients/show-secret":   {tab: "general", do: showSecret},
		"clients/change-secret": {tab: "general", done: "changed", do: changeSecret},
		"clients/delete-secret": {tab: "general", done: "removed", do: deleteSecret},
		"clients/grant":         {tab: "permissions", done: "granted", do: grant},

		"resource_servers/add-permission":    {tab: "permissions", done: "scope", do: addScope},
		"resource_servers/remove-permission": {tab: "permissions", done: "removed", do: removeScope},

		"consumers/authentication": {tab: "authentication", page: changeAuthentication},
		"consumers/generate":       {tab: "authentication", do: generateKey},
		"consumers/create-key":     {tab: "authentication", do: createKey},
		"consumers/change-key":     {tab: "authentication", done: "changed", do: changeKey},
		"consumers/delete-key":     {tab: "authentication", done: "removed", do: deleteKey},
		"consumers/authorize":      {tab: "authorization", done: "authorized", do: authorizeAPI},
		"consumers/unauthorize":    {tab: "authorization", done: "removed", do: unauthorizeAPI},

		"apis/authorize":   {tab: "consumers", done: "authorized", do: authorizeConsumer},
		"apis/unauthorize": {tab: "consumers", done: "removed", do: unauthorizeConsumer},
	}
}

// act finds the action and the object that a path names.
func act(v *visit, rest []string) (answer, error) {
	if len(rest) < 3 {
		return answer{}, errNoPage
	}
	k, parent, name, ok := find(rest[1:])
	if !ok || name == "" {
		return answer{}, errNoPage
	}
	a, is := actions[k.path+"/"+rest[0]]
	if !is {
		return answer{}, errNoPage
	}
	t, err := v.thing(k, parent, name)
	switch {
	case err != nil:
		return answer{}, err
	case a.page != nil:
		return a.page(v, t)
	case !v.posted():
		return answer{to: t.Href() + "?tab=" + a.tab}, nil
	}
	var p *problem
	switch err := a.do(v, t); {
	case err == nil && a.done != "" && v.revealed == nil:
		return answer{to: t.Href() + "?tab=" + a.tab + "&done=" + a.done}, nil
	case errors.As(err, &p) && p.Status != http.StatusUnauthorized:
		return v.showObject(t, a.tab, formState{problem: p})
	case err != nil:
		return answer{}, err
	}
	if t, err = v.thing(k, parent, name); err != nil {
		return answer{}, err
	}
	return v.showObject(t, a.tab, formState{})
}

// revealed is a secret that this one answer shows.
type revealed struct {
	Of    string // id of the secret or key
	Title string
	Says  string
	Items []copied
}

// copied is a text with a Copy button.
type copied struct {
	Label, Value string
	Long         bool // several lines
}

// refusal is what a page itself finds wrong.
func refusal(detail string) *problem {
	return &problem{Status: http.StatusUnprocessableEntity, Title: "Not done", Code: "invalid", Detail: detail}
}
