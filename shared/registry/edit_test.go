package registry_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"keyless/shared/registry"
	"keyless/shared/seal"
)

var someone = registry.Actor{Who: "ann", RequestID: "r-1"}

// bureau is a registry that is edited.
type bureau struct {
	*registry.Editor
	t     testing.TB
	store registry.Store
	keys  *seal.Keys
}

func newBureau(t testing.TB, store registry.Store, text string) *bureau {
	t.Helper()
	b := &bureau{t: t, store: store, keys: masterKeys(t)}
	b.Editor = registry.NewEditor(store, b.keys, time.Now)
	if text != "" {
		apply(t, store, b.keys, text, registry.ApplyOptions{Prune: true})
	}
	return b
}

// put writes an object, whatever stands there.
func (b *bureau) put(kind, name, object string) (registry.Edited, error) {
	b.t.Helper()
	edit := registry.Edit{Kind: kind, Name: name, Match: registry.MatchAny, By: someone}
	if object != "" {
		edit.Object = json.RawMessage(object)
	}
	return b.Edit(b.t.Context(), edit)
}

func (b *bureau) must(kind, name, object string) registry.Edited {
	b.t.Helper()
	done, err := b.put(kind, name, object)
	if err != nil {
		b.t.Fatalf("%s %s: %v", kind, name, err)
	}
	b.whole()
	return done
}

// whole checks that every reference resolves and every secret opens.
func (b *bureau) whole() {
	b.t.Helper()
	config, err := registry.Load(b.t.Context(), b.store)
	if err != nil {
		b.t.Fatal(err)
	}
	if faults := registry.Validate(config); len(faults) > 0 {
		b.t.Errorf("the registry has faults: %v", faults)
	}
	again, err := registry.Apply(b.t.Context(), b.store, b.keys, config, registry.ApplyOptions{DryRun: true})
	if err != nil || len(again.Changes) > 0 {
		b.t.Errorf("applied to itself: %v, %v", lines(again), err)
	}
	verdict, err := b.VerifyAudit(b.t.Context(), nil)
	if err != nil || verdict.Broken != 0 {
		b.t.Errorf("audit %+v, %v", verdict, err)
	}
}

func (b *bureau) object(kind, name string) registry.Object {
	b.t.Helper()
	o, err := b.Object(b.t.Context(), kind, name)
	if err != nil {
		b.t.Fatalf("%s %s: %v", kind, name, err)
	}
	return o
}

func (b *bureau) refused(kind, name, object, want string) {
	b.t.Helper()
	before := everything(b.t, b.store)
	_, err := b.put(kind, name, object)
	var faults registry.Faults
	var referenced *registry.ReferencedError
	if err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, &faults) && !errors.As(err, &referenced) {
		b.t.Errorf("%s %s: %v, want %q", kind, name, err, want)
	}
	if len(before) != len(everything(b.t, b.store)) || before["revision"] != everything(b.t, b.store)["revision"] {
		b.t.Errorf("%s %s: something was written", kind, name)
	}
}

// A registry is made by edits alone, from nothing, and is the one that apply makes.
func TestEditsMakeWhatApplyMakes(t *testing.T) {
	t.Parallel()
	for name, store := range stores(t) {
		t.Run(name, func(t *testing.T) {
			b := newBureau(t, store, "")
			for _, step := range [][3]string{
				{"instance", "a", `{"description":"d","privacy_agreement":"accepted","resource_servers":[
					{"identifier":"rs","name":"n","scopes":[{"value":"x","name":"X"},{"value":"y","name":"Y"}]}]}`},
				{"client", "a/c", `{"name":"C","permissions":[{"resource_server":"rs","scopes":["x","y"]}]}`},
				{"upstream", "u", `{"protocol":"http","base_url":"http://127.0.0.1:1","api_keys":["key"]}`},
				{"api", "p", `{"type":"http","base_path":"/p","upstreams":[{"upstream":"u"}]}`},
				{"group", "g", `{}`},
				{"consumer", "one", `{"groups":["g"],"jwt":{"jwks_url":"http://h/k","value":"v"},"authorizations":[{"api":"p"}]}`},
				{"settings", "", `{"currency":"USD"}`},
			} {
				done := b.must(step[0], step[1], step[2])
				if done.Change.Action != registry.ActionAdd || done.Revision == "" || done.Version == "" {
					t.Errorf("%s %s: %+v", step[0], step[1], done)
				}
				if o := b.object(step[0], step[1]); o.Version != done.Version || string(o.Value) != string(done.Object) {
					t.Errorf("%s %s: read %+v, written %+v", step[0], step[1], o, done)
				}
				again := b.must(step[0], step[1], string(done.Object))
				if again.Change.Action != "" || again.Revision != done.Revision || again.Version != done.Version {
					t.Errorf("%s %s: the same again writes: %+v", step[0], step[1], again)
				}
			}
			report := apply(t, store, b.keys, small+"currency: USD\n", registry.ApplyOptions{Prune: true, DryRun: true})
			if len(report.Changes) != 0 {
				t.Errorf("apply would change %v", lines(report))
			}
			reader := registry.NewReader(store, b.keys, time.Now)
			err := reader.Consult(t.Context(), func(v registry.View) (registry.Result, error) {
				found, err := v.Consumers(t.Context(), registry.IndexJWT("uid", "v"))
				if err != nil || len(found) != 1 || !v.Authorized["p"] || !slices.Contains(v.Claims, "uid") {
					t.Errorf("found %v, %v", found, err)
				}
				return registry.Final, nil
			})
			if err != nil {
				t.Error(err)
			}
			for _, gone := range [][2]string{{"consumer", "one"}, {"group", "g"}, {"api", "p"}, {"upstream", "u"}, {"client", "a/c"},
				{"instance", "a"}, {"settings", ""}} {
				if done := b.must(gone[0], gone[1], ""); done.Change.Action != registry.ActionRemove || done.Object != nil {
					t.Errorf("%v: %+v", gone, done)
				}
				if _, err := b.put(gone[0], gone[1], ""); !errors.Is(err, registry.ErrNoObject) {
					t.Errorf("%v again: %v", gone, err)
				}
			}
			found, _, err := store.Indexed(t.Context(), registry.IndexJWT("uid", "v"))
			if err != nil || len(found[0]) != 0 {
				t.Errorf("an index still leads to %v, %v", found, err)
			}
		})
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	b := newBureau(t, registry.NewMemory(), small)
	version := b.object("group", "g").Version
	other := strings.Repeat("0", len(version))
	for name, row := range map[string]struct {
		kind, name, match, object string
		current                   string // of the conflict; "ok": none
	}{
		"the version that stands":          {"group", "g", version, `{}`, "ok"},
		"another version":                  {"group", "g", other, `{}`, version},
		"new, and it is there":             {"group", "g", registry.MatchNew, `{}`, version},
		"new":                              {"group", "n1", registry.MatchNew, `{}`, "ok"},
		"a version of what is not there":   {"group", "n2", version, `{}`, ""},
		"whatever":                         {"group", "g", registry.MatchAny, `{}`, "ok"},
		"a removal of another version":     {"group", "g", other, "", version},
		"the default domain is never new":  {"domain", "default", registry.MatchNew, `{}`, b.object("domain", "default").Version},
		"the default domain by any letter": {"domain", "DEFAULT", registry.MatchAny, `{"name":"Default"}`, "ok"},
	} {
		edit := registry.Edit{Kind: row.kind, Name: row.name, Match: row.match}
		if row.object != "" {
			edit.Object = json.RawMessage(row.object)
		}
		_, err := b.Edit(t.Context(), edit)
		var conflict *registry.ConflictError
		switch {
		case row.current == "ok":
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		case !errors.As(err, &conflict) || conflict.Current != row.current:
			t.Errorf("%s: %v, want a conflict with %q", name, err, row.current)
		}
	}
	if _, err := b.Edit(t.Context(), registry.Edit{Kind: "group", Name: "g"}); err == nil {
		t.Error("an edit without a match is carried out")
	}
	if _, err := b.put("secret", "g", `{}`); err == nil {
		t.Error("an unknown kind is edited")
	}
}

const linked = small + `domains: [{name: h.example}]
`

// What is in use is not removed, and the refusal says by whom.
func TestWhatIsInUseIsNotRemoved(t *testing.T) {
	t.Parallel()
	text := strings.NewReplacer("base_path: /p,", "base_path: /p, domains: [h.example],").Replace(linked) +
		"global_authentication: {jwks_url: http://h/k, rules: [{domain: H.example, path: /x}]}\n"
	b := newBureau(t, registry.NewMemory(), text)
	for _, row := range [][3]string{
		{"domain", "h.example", "in use by api p, global_authentication"},
		{"domain", "H.EXAMPLE", "in use by api p, global_authentication"},
		{"upstream", "u", "in use by api p"},
		{"api", "p", "in use by consumer one"},
		{"group", "g", "in use by consumer one"},
		{"instance", "a", "in use by client a/c"},
		{"domain", "default", "always exists"},
		{"domain", "Default", "always exists"},
	} {
		b.refused(row[0], row[1], "", row[2])
	}
	b.refused("instance", "a", `{"description":"d","privacy_agreement":"accepted","resource_servers":[
		{"identifier":"rs","name":"n","scopes":[{"value":"x","name":"X"}]}]}`, "in use by client a/c")
	b.refused("instance", "a", `{"description":"d","privacy_agreement":"accepted"}`, "in use by client a/c")
	b.must("client", "a/c", `{"name":"C","permissions":[{"resource_server":"rs","scopes":["x"]}]}`)
	b.must("instance", "a", `{"description":"d","privacy_agreement":"accepted","resource_servers":[
		{"identifier":"rs","name":"n","scopes":[{"value":"x","name":"X"}]}]}`)
	o := b.object("instance", "a")
	if strings.Contains(string(o.Value), `"y"`) {
		t.Errorf("the scope is still there: %s", o.Value)
	}
	b.must("consumer", "one", `{"jwt":{"jwks_url":"http://h/k","value":"v"}}`)
	b.must("api", "p", "") // authorized: says that somebody may be, and nobody is
	b.must("upstream", "u", "")
	b.must("group", "g", "")
}

// An edit is judged with what it refers to and what it could collide with, and its faults have paths in the object.
func TestEditIsJudged(t *testing.T) {
	t.Parallel()
	oct := strings.Replace(small, "jwt: {jwks_url: http://h/k, value: v}", "jwt: {jwks: '"+partnerKey+"', value: v}", 1)
	b := newBureau(t, registry.NewMemory(), oct)
	key := b.must("consumer", "keyed", `{"api_key":{"keys":[{"id":"k1","value":"an-api-key-of-ours"}]}}`)
	if len(key.Generated) != 0 {
		t.Errorf("generated %v", key.Generated)
	}
	jwks, err := json.Marshal(partnerKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string][4]string{
		"a group that is not there":   {"consumer", "two", `{"groups":["x"],"api_key":{}}`, `groups[0]: "x" is not a group`},
		"an unknown key":              {"consumer", "two", `{"Groups":["g"],"api_key":{}}`, `: has the unknown key "Groups"`},
		"an unknown key further down": {"consumer", "two", `{"api_key":{"keys":[{"id":"k","hash":"x"}]}}`, `api_key.keys[0]: has the unknown key "hash"`},
		"a key twice":                 {"group", "h", `{"name":"h","name":"h"}`, ": cannot be read: a member stands twice"},
		"no JSON":                     {"group", "h", `{`, "cannot be read: not one valid"},
		"a wrong kind":                {"group", "h", `{"name":7}`, "name: is of the wrong kind"},
		"a list":                      {"group", "h", `[]`, "is not an object"},
		"nothing":                     {"group", "h", `{"limits":null}`, "limits: has no value"},
		"another name":                {"group", "h", `{"name":"i"}`, "name: is not the name under which"},
		"a name that is none":         {"group", "h/i", `{}`, "name: is not a name"},
		"the rule of another":         {"consumer", "two", `{"jwt":{"jwks":` + string(jwks) + `,"value":"v"}}`, `jwt: is the same rule as that of the consumer "one"`},
		"the key of another":          {"consumer", "two", `{"api_key":{"keys":[{"id":"z","value":"an-api-key-of-ours"}]}}`, `api_key.keys[0].value: is also that of the consumer "keyed"`},
		"the path of another":         {"api", "q", `{"type":"http","base_path":"/p"}`, `base_path: is the base path of the API "p"`},
		"a change that breaks others": {"upstream", "u", `{"protocol":"openai","base_url":"http://127.0.0.1:1"}`, "api p: upstreams[0].upstream: speaks another protocol"},
		"a scope that is not offered": {"client", "a/d", `{"name":"D","permissions":[{"resource_server":"rs","scopes":["z"]}]}`, `permissions[0].scopes[0]: "z" is not a scope`},
		"clients in an instance":      {"instance", "b", `{"description":"d","privacy_agreement":"accepted","clients":[{"name":"x"}]}`, "clients: are edited one by one"},
		"a short secret":              {"client", "a/d", `{"name":"D","secrets":[{"id":"s","value":"short"}]}`, "secrets[0].value: is a secret of under 16"},
		"a currency":                  {"settings", "", `{"currency":"dollars"}`, "currency: is not a currency code"},
		"a jwks that is an object, of another place": {"upstream", "w", `{"protocol":"http","base_url":"http://127.0.0.1:1","api_keys":[{"keys":[]}]}`, "api_keys"},
	} {
		t.Run(name, func(t *testing.T) {
			one := *b
			one.t = t
			one.refused(row[0], row[1], row[2], row[3])
		})
	}
	if _, err := b.put("client", "nobody/d", `{"name":"D"}`); !errors.Is(err, registry.ErrNoObject) {
		t.Errorf("a client of an instance that is not there: %v", err)
	}
	b.must("consumer", "other-place", `{"jwt":{"jwks":`+partnerKey+`,"value":"v","cookie":"c"}}`)
}

func TestNinthClaim(t *testing.T) {
	t.Parallel()
	b := newBureau(t, registry.NewMemory(), "version: 1\n")
	for i := range 8 {
		b.must("consumer", fmt.Sprintf("c%d", i), fmt.Sprintf(`{"jwt":{"jwks_url":"http://h/k","claim":"claim%d"}}`, i))
	}
	b.refused("consumer", "c8", `{"jwt":{"jwks_url":"http://h/k","claim":"claim8"}}`, "jwt.claim: is the ninth claim in use")
	b.must("consumer", "c9", `{"jwt":{"jwks_url":"http://h/k","claim":"claim7"}}`)
}

func TestClientIDIsGenerated(t *testing.T) {
	t.Parallel()
	b := newBureau(t, registry.NewMemory(), small)
	var ids []string
	for range 2 { // also of one name
		done := b.must("client", "a/", `{"name":"C"}`)
		id, is := strings.CutPrefix(done.Change.Name, "a/")
		if !is || len(id) < 20 || len(done.Generated) != 2 || done.Generated[0].ID != "client_id" ||
			done.Generated[0].Secret.Reveal() != id || done.Generated[1].ID != "s1" {
			t.Errorf("%+v", done)
		}
		ids = append(ids, id)
	}
	if ids[0] == ids[1] {
		t.Error("two clients have one id")
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	for name, store := range stores(t) {
		b := newBureau(t, store, small)
		for i := range 5 {
			b.must("consumer", fmt.Sprintf("m%d", i), `{"api_key":{}}`)
		}
		for _, row := range []struct {
			kind string
			o    registry.ListOptions
			want string
		}{
			{"consumer", registry.ListOptions{Limit: 100}, "m0 m1 m2 m3 m4 one > "},
			{"consumer", registry.ListOptions{Prefix: "m", Limit: 2}, "m0 m1 > m1"},
			{"consumer", registry.ListOptions{Prefix: "m", After: "m1", Limit: 2}, "m2 m3 > m3"},
			{"consumer", registry.ListOptions{Prefix: "m", After: "m3", Limit: 2}, "m4 > "},
			{"consumer", registry.ListOptions{Prefix: "x", Limit: 2}, " > "},
			{"client", registry.ListOptions{Parent: "a", Limit: 9}, "a/c > "},
			{"client", registry.ListOptions{Parent: "b", Limit: 9}, " > "},
			{"client", registry.ListOptions{Parent: "a", Prefix: "d", Limit: 9}, " > "},
			{"domain", registry.ListOptions{Limit: 9}, "default > "},
			{"api", registry.ListOptions{Limit: 9}, "p > "},
			{"settings", registry.ListOptions{Limit: 9}, " > "},
		} {
			list, next, err := b.List(t.Context(), row.kind, row.o)
			var names []string
			for _, o := range list {
				names = append(names, o.Name)
			}
			if got := strings.Join(names, " ") + " > " + next; err != nil || got != row.want {
				t.Errorf("%s, %s %+v: %q, want %q, %v", name, row.kind, row.o, got, row.want, err)
			}
		}
	}
}
