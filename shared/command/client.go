package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"keyless/shared/registry"
)

// listOf, showOf and removeOf are get and remove for one kind.
func listOf(kindName string) func(context.Context, terminal, []string) error {
	return func(ctx context.Context, t terminal, args []string) error {
		k, _ := kindOf(kindName)
		flags, o := t.gatewayFlags()
		prefix := flags.String("prefix", "", "list only what begins with this `text`")
		names := []string{"[INSTANCE]"}
		if !k.inside() {
			names = nil
		}
		words, err := t.words(flags, args, names...)
		if err != nil {
			return err
		}
		g, err := t.gateway(o)
		if err != nil {
			return err
		}
		defer g.close()
		parent := ""
		if k.inside() {
			parent = words[0]
		}
		return t.list(ctx, g, k, parent, *prefix, o.asJSON)
	}
}

func showOf(kindName string) func(context.Context, terminal, []string) error {
	return func(ctx context.Context, t terminal, args []string) error {
		k, _ := kindOf(kindName)
		flags, o := t.gatewayFlags()
		words, err := t.words(flags, args, "NAME")
		if err != nil {
			return err
		}
		if err := k.check(words[0]); err != nil {
			return err
		}
		g, err := t.gateway(o)
		if err != nil {
			return err
		}
		defer g.close()
		return t.show(ctx, g, k, words[0], o.asJSON)
	}
}

func removeOf(kindName string) func(context.Context, terminal, []string) error {
	return func(ctx context.Context, t terminal, args []string) error {
		k, _ := kindOf(kindName)
		flags, o := t.gatewayFlags()
		words, err := t.words(flags, args, "NAME")
		if err != nil {
			return err
		}
		return t.removeOne(ctx, k, words[0], anyVersion, o)
	}
}

// createOne makes an object of a kind and tells what was generated.
func (t terminal) createOne(ctx context.Context, o *options, k kind, name string, members any) error {
	g, err := t.gateway(o)
	if err != nil {
		return err
	}
	defer g.close()
	done, err := g.create(ctx, k, name, members)
	if err != nil {
		return named(err, k.label(name))
	}
	var answer struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(done.raw, &answer) == nil && strings.HasSuffix(name, "/") {
		name += answer.ID // generated
	}
	return t.made(done, k.label(name), o.asJSON, g.sealed(ctx))
}

// clientCreate makes a client application; without --authentication it proves itself by a secret, which is generated.
func clientCreate(ctx context.Context, t terminal, args []string) error {
	flags, o := t.gatewayFlags()
	var c registry.Client
	var methods, grants list
	flags.StringVar(&c.Name, "name", "", "the application's `name` for people")
	flags.Var(&methods, "authentication", "a `method` such as private_key_jwt; default client_secret_basic and client_secret_post")
	flags.StringVar(&c.JWKSURL, "jwks-url", "", "where the keys of private_key_jwt are published")
	flags.Var(&grants, "grant", "what it may ask for, as `SERVER|SCOPE`; may stand several times")
	words, err := t.words(flags, args, "INSTANCE/[CLIENT]")
	if err != nil {
		return err
	}
	instance, id, is := strings.Cut(words[0], "/")
	if !is || instance == "" {
		return usage{errors.New("the name is INSTANCE/CLIENT, or INSTANCE/ to have the client's id generated")}
	}
	c.Authentication = methods
	if c.Name == "" {
		c.Name = id
	}
	for _, one := range grants {
		at := strings.LastIndex(one, "|")
		if at < 1 {
			return usage{errors.New("--grant is SERVER|SCOPE")}
		}
		c.Permissions = granted(c.Permissions, one[:at], []string{one[at+1:]})
	}
	k, _ := kindOf("client")
	return t.createOne(ctx, o, k, words[0], c)
}

// granted adds scopes of a resource server to permissions.
func granted(list []registry.Permission, server string, scopes []string) []registry.Permission {
	list = slices.Clone(list)
	n := slices.IndexFunc(list, func(p registry.Permission) bool { return p.ResourceServer == server })
	if n < 0 {
		return append(list, registry.Permission{ResourceServer: server, Scopes: scopes})
	}
	list[n].Scopes = slices.Clone(list[n].Scopes)
	for _, scope := range scopes {
		if !slices.Contains(list[n].Scopes, scope) {
			list[n].Scopes = append(list[n].Scopes, scope)
		}
	}
	return list
}

// taken removes scopes of a resource server from permissions; none means all.
func taken(list []registry.Permission, server string, scopes []string) []registry.Permission {
	var left []registry.Permission
	for _, p := range list {
		if p.ResourceServer == server {
			p.Scopes = slices.DeleteFunc(slices.Clone(p.Scopes), func(scope string) bool {
				return len(scopes) == 0 || slices.Contains(scopes, scope)
			})
		}
		if len(p.Scopes) > 0 {
			left = append(left, p)
		}
	}
	return left
}

// maxConflicts bounds how often a change is made anew because somebody else has changed the object meanwhile.
const maxConflicts = 5

// permissionsOf is a command that changes what a client may ask for.
func permissionsOf(
	change func([]registry.Permission, string, []string) []registry.Permission, what string, names ...string,
) func(context.Context, terminal, []string) error {
	return func(ctx context.Context, t terminal, args []string) error {
		flags, o := t.gatewayFlags()
		words, err := t.words(flags, args, names...)
		if err != nil {
			return err
		}
		k, _ := kindOf("client")
		if err := k.check(words[0]); err != nil {
			return err
		}
		g, err := t.gateway(o)
		if err != nil {
			return err
		}
		defer g.close()
		path := k.path(words[0]) + "/permissions"
		for attempt := 0; ; attempt++ {
			var now struct{ Items []registry.Permission }
			version, err := g.do(ctx, ask{path: path}, &now)
			if err == nil {
				changed := change(now.Items, words[1], words[2:])
				if changed == nil {
					changed = []registry.Permission{}
				}
				_, err = g.do(ctx, ask{method: http.MethodPut, path: path, match: version, body: changed}, nil)
			}
			if codeOf(err) == "conflict" && attempt < maxConflicts {
				continue
			}
			if err != nil {
				return named(err, k.label(words[0]))
			}
			return t.told(what, k.label(words[0])+": "+strings.Join(words[1:], " "), o.asJSON)
		}
	}
}

// items are the commands on secrets and keys, which stand inside another object.
type items struct {
	kind, path, says string // of the object; of the list below it; what one is called
	id               string // the member that names one
	expires          bool   // one may end by itself
}

var (
	clientSecrets = items{"client", "/secrets", "secret", "id", true}
	consumerKeys  = items{"consumer", "/api_keys", "API key", "id", true}
	consumerHMACs = items{"consumer", "/hmac_keys", "HMAC key", "access_key", false}
)

func (i items) kindOf() kind {
	k, _ := kindOf(i.kind)
	return k
}

func (i items) label(name, id string) string {
	return strings.TrimSpace(i.kindOf().label(name) + " " + i.says + " " + id)
}

func (i items) list(ctx context.Context, t terminal, args []string) error {
	flags, o := t.gatewayFlags()
	words, err := t.words(flags, args, "NAME")
	if err != nil {
		return err
	}
	g, err := t.gateway(o)
	if err != nil {
		return err
	}
	defer g.close()
	list, columns, rows := []json.RawMessage{}, []string{i.id, "status", "expires_at", "last_used_at"}, [][]string{}
	err = g.each(ctx, i.kindOf().path(words[0])+i.path, nil, func(item json.RawMessage) error {
		var row []string
		for _, column := range columns {
			row = append(row, cellOf(item, column))
		}
		list, rows = append(list, item), append(rows, row)
		return nil
	})
	switch {
	case err != nil:
		return named(err, i.kindOf().label(words[0]))
	case o.asJSON:
		return t.json(list)
	}
	return t.table(columns, rows)
}

// create has one generated, and shows it.
func (i items) create(ctx context.Context, t terminal, args []string) error {
	flags, o := t.gatewayFlags()
	id := flags.String("id", "", "its `id`; default generated")
	expires := ""
	if i.expires {
		flags.StringVar(&expires, "expires", "", "when it ends, a `time` such as 2027-06-30T00:00:00Z, or a duration such as 90d")
	}
	words, err := t.words(flags, args, "NAME")
	if err != nil {
		return err
	}
	body := map[string]any{}
	if *id != "" {
		body[i.id] = *id
	}
	if expires != "" {
		at, err := moment(expires, time.Now())
		if err != nil {
			return usage{err}
		}
		body["expires_at"] = at
	}
	g, err := t.gateway(o)
	if err != nil {
		return err
	}
	defer g.close()
	var text []byte
	a := ask{method: http.MethodPost, path: i.kindOf().path(words[0]) + i.path, body: body}
	if _, err := g.do(ctx, a, &text); err != nil {
		return named(err, i.kindOf().label(words[0]))
	}
	if o.asJSON {
		_, err = t.stdout.Write(text)
		return err
	}
	var made map[string]string
	if err := json.Unmarshal(text, &made); err != nil {
		return fmt.Errorf("read the admin API's answer: %w", err)
	}
	label := i.kindOf().label(words[0])
	t.say("secret  %s %s: %s  (%s)", plain(label), plain(made[i.id]), made["secret"],
		again(label, made[i.id], g.sealed(ctx)))
	return nil
}

// moment reads a time, or a duration from now on.
func moment(text string, now time.Time) (time.Time, error) {
	if d, err := registry.ParseDuration(text); err == nil {
		return now.Add(time.Duration(d)).UTC().Truncate(time.Second), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fmt.Errorf("%q is neither a time such as 2027-06-30T00:00:00Z nor a duration such as 90d", text)
	}
	return at, nil
}

// one is a command on one item: its status, or its end.
func (i items) one(method, what string, body any) func(context.Context, terminal, []string) error {
	return func(ctx context.Context, t terminal, args []string) error {
		flags, o := t.gatewayFlags()
		words, err := t.words(flags, args, "NAME", "ID")
		if err != nil {
			return err
		}
		path := i.kindOf().path(words[0]) + i.path + "/" + url.PathEscape(words[1])
		return t.change(ctx, o, i.label(words[0], words[1]), what, ask{method: method, path: path, body: body})
	}
}

func (i items) status(to registry.Status) func(context.Context, terminal, []string) error {
	return i.one(http.MethodPatch, string(to), map[string]registry.Status{"status": to})
}

// clientSecretShow opens a sealed secret; that it was stands in the audit trail.
func clientSecretShow(ctx context.Context, t terminal, args []string) error {
	flags, o := t.gatewayFlags()
	words, err := t.words(flags, args, "NAME", "ID")
	if err != nil {
		return err
	}
	g, err := t.gateway(o)
	if err != nil {
		return err
	}
	defer g.close()
	var opened map[string]string
	path := clientSecrets.kindOf().path(words[0]) + "/secrets/" + url.PathEscape(words[1]) + "/show"
	if _, err := g.do(ctx, ask{method: http.MethodPost, path: path}, &opened); err != nil {
		return named(err, clientSecrets.label(words[0], words[1]))
	}
	if o.asJSON {
		return t.json(opened)
	}
	t.say("%s", opened["secret"])
	return nil
}
