package admin_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keyless/shared/admin"
	"keyless/shared/registry"
)

// lives are an object of each collection: where it is created, what it is, one change of it, and what the change shows.
var lives = map[string]struct {
	list, one, object, patch, shows string
}{
	"an instance": {"/instances", "/instances/new", `{"id":"new","description":"d","privacy_agreement":"accepted"}`,
		`{"m2m":"disabled"}`, `"m2m":"disabled"`},
	"a client": {"/instances/acme/clients", "/instances/acme/clients/new", `{"id":"new","name":"n"}`, `{"status":"disabled"}`,
		`"status":"disabled"`},
	"a domain":   {"/domains", "/domains/new.example", `{"name":"new.example"}`, `{"daily_call_limit":7}`, `"daily_call_limit":7`},
	"a wildcard": {"/domains", "/domains/%2A.new.example", `{"name":"*.new.example"}`, `{"daily_call_limit":7}`, `"daily_call_limit":7`},
	"an upstream": {"/upstreams", "/upstreams/new", `{"name":"new","protocol":"openai","base_url":"https://u.example","api_keys":["sk-MARKER-new"]}`,
		`{"base_url":"https://u.example/v2"}`, `"api_keys":["[kept]"]`},
	"an API": {"/apis", "/apis/new", `{"name":"new","type":"llm","base_path":"/new","upstreams":[{"upstream":"model"}]}`,
		`{"limits":{"calls_per_day":5}}`, `"calls_per_day":5`},
	"a group": {"/groups", "/groups/new", `{"name":"new","limits":{"calls_per_day":1,"calls_per_hour":2}}`,
		`{"limits":{"calls_per_day":null}}`, `{"calls_per_hour":2}`},
	"a consumer": {"/consumers", "/consumers/new", `{"name":"new","api_key":{"keys":[{"id":"k1","value":"kg_MARKER_new_key_012345"}]}}`,
		`{"display_name":"<script>שלום"}`, `"display_name":"\u003cscript\u003eשלום"`},
}

func TestTheLifeOfAnObject(t *testing.T) {
	t.Parallel()
	for name, life := range lives {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAcme(t)
			created := a.must(201, a.call("POST", life.list, life.object))
			if created.header.Get("Location") != admin.Prefix+strings.ReplaceAll(life.one, "%2A", "%2A") || created.version() == "" ||
				created.version() != created.str("version") {
				t.Errorf("created %v %s", created.header, created.text)
			}
			a.refused(409, "exists", a.call("POST", life.list, life.object))
			got := a.must(200, a.call("GET", life.one, ""))
			if got.version() != created.version() || strings.Contains(created.text+got.text, marker) {
				t.Errorf("read %s", got.text)
			}
			a.must(304, a.call("GET", life.one, "", "If-None-Match", got.header.Get("ETag")))
			for _, method := range []string{"PUT", "PATCH", "DELETE"} {
				a.refused(428, "condition_required", a.call(method, life.one, life.patch))
				conflict := a.call(method, life.one, life.object, "If-Match", `"stale"`)
				if a.refused(412, "conflict", conflict); conflict.str("current") != got.version() {
					t.Errorf("%s: %s", method, conflict.text)
				}
			}
			a.refused(412, "conflict", a.call("PUT", life.one, life.object, "If-None-Match", "*"))
			patched := a.must(200, a.call("PATCH", life.one, life.patch, "If-Match", got.header.Get("ETag")))
			if patched.version() == got.version() || !strings.Contains(patched.text, life.shows) || strings.Contains(patched.text, marker) {
				t.Errorf("patched %s", patched.text)
			}
			again := a.must(200, a.call("PUT", life.one, patched.text, "If-Match", patched.header.Get("ETag")))
			if again.version() != patched.version() {
				t.Errorf("what was read and sent back is another: %s %s", patched.text, again.text)
			}
			a.must(204, a.call("DELETE", life.one, "", "If-Match", "*"))
			a.refused(404, "not_found", a.call("GET", life.one, ""))
			a.refused(404, "not_found", a.call("DELETE", life.one, "", "If-Match", "*"))
			a.refused(404, "not_found", a.call("PATCH", life.one, "{}", "If-Match", "*"))
			a.must(201, a.call("PUT", life.one, life.object, "If-None-Match", "*"))
		})
	}
}

func TestWhatStandsOnce(t *testing.T) {
	t.Parallel()
	for path, object := range map[string]string{
		"/prices":                `{"prices":[{"model":"m","input":"1"}]}`,
		"/settings":              `{"currency":"EUR"}`,
		"/global_authentication": `{"status":"disabled","jwks_url":"https://l.example/k","issuer":"https://l.example","mode":"blacklist"}`,
	} {
		a := newAcme(t)
		first := a.must(200, a.call("GET", path, ""))
		a.refused(428, "condition_required", a.call("PUT", path, object))
		a.refused(412, "conflict", a.call("PUT", path, object, "If-None-Match", "*"))
		second := a.must(200, a.call("PUT", path, object, "If-Match", first.header.Get("ETag")))
		want := strings.TrimSuffix(object, "}")[1:]
		if got := a.must(200, a.call("GET", path, "")); !strings.Contains(got.text, want) || got.version() != second.version() {
			t.Errorf("%s: %s", path, got.text)
		}
		a.must(204, a.call("DELETE", path, "", "If-Match", second.header.Get("ETag")))
		a.refused(404, "not_found", a.call("GET", path, ""))
		a.must(201, a.call("PUT", path, object, "If-None-Match", "*"))
		if path == "/prices" {
			a.refused(405, "method_not_allowed", a.call("PATCH", path, object, "If-Match", "*"))
		} else {
			a.must(200, a.call("PATCH", path, object, "If-Match", "*"))
		}
		a.refused(405, "method_not_allowed", a.call("POST", path, object))
	}
}

func TestWhatIsRefusedChangesNothing(t *testing.T) {
	t.Parallel()
	a := newAcme(t)
	export := a.must(200, a.call("GET", "/export", "")).text
	for name, c := range map[string]struct {
		method, path, body, header, value string
		status                            int
		code, has                         string
	}{
		"an unknown member":        {"POST", "/groups", `{"name":"x","colour":"red"}`, "", "", 422, "invalid", `unknown key \"colour\"`},
		"a case twin":              {"POST", "/groups", `{"name":"x","Name":"y"}`, "", "", 422, "invalid", `\"Name\"`},
		"a member twice":           {"POST", "/groups", `{"name":"x","name":"y"}`, "", "", 400, "bad_request", "twice"},
		"a member twice, inside":   {"POST", "/groups", `{"name":"x","limits":{"calls_per_day":1,"calls_per_day":2}}`, "", "", 400, "bad_request", "twice"},
		"a null":                   {"POST", "/groups", `{"name":"x","limits":null}`, "", "", 422, "invalid", `"path":"limits"`},
		"no name":                  {"POST", "/groups", `{}`, "", "", 422, "invalid", `"path":"name"`},
		"a name of another kind":   {"POST", "/groups", `{"name":1}`, "", "", 422, "invalid", `"path":"name"`},
		"another name than the":    {"PUT", "/groups/x", `{"name":"y"}`, "If-None-Match", "*", 422, "invalid", `"path":"name"`},
		"a list":                   {"POST", "/groups", `[]`, "", "", 400, "bad_request", "JSON object"},
		"no JSON":                  {"POST", "/groups", `name=x`, "", "", 400, "bad_request", "JSON object"},
		"nothing":                  {"POST", "/groups", ``, "", "", 400, "bad_request", "JSON object"},
		"a second value":           {"POST", "/groups", `{"name":"x"} {}`, "", "", 400, "bad_request", "JSON object"},
		"no UTF-8":                 {"POST", "/groups", "{\"name\":\"\xff\"}", "", "", 400, "bad_request", "UTF-8"},
		"too much":                 {"POST", "/groups", `{"name":"` + strings.Repeat("x", 1<<20) + `"}`, "", "", 413, "body_too_large", ""},
		"too much of all":          {"POST", "/apply", strings.Repeat(" ", 8<<20+1), "", "", 413, "body_too_large", ""},
		"a form":                   {"POST", "/groups", `{"name":"x"}`, "Content-Type", "application/x-www-form-urlencoded", 415, "unsupported_media_type", ""},
		"a patch that creates":     {"POST", "/groups", `{"name":"x"}`, "Content-Type", "application/merge-patch+json", 415, "unsupported_media_type", ""},
		"a method in a header":     {"GET", "/groups/batch", ``, "X-HTTP-Method-Override", "DELETE", 200, "", "batch"},
		"a dangling name":          {"POST", "/apis", `{"name":"x","type":"llm","base_path":"/x","upstreams":[{"upstream":"none"}]}`, "", "", 422, "invalid", "upstreams[0].upstream"},
		"an upstream in use":       {"DELETE", "/upstreams/model", ``, "If-Match", "*", 409, "referenced", "api models"},
		"a group in use":           {"DELETE", "/groups/batch", ``, "If-Match", "*", 409, "referenced", "consumer jay"},
		"an API in use":            {"DELETE", "/apis/models", ``, "If-Match", "*", 409, "referenced", "consumer kay"},
		"an instance with clients": {"DELETE", "/instances/acme", ``, "If-Match", "*", 409, "referenced", "client acme/worker"},
		"a server in use": {"DELETE", "/instances/acme/resource_servers/urn:models%2Fv1", ``, "If-Match", "*", 409, "referenced",
			"client acme/worker"},
		"the default domain":       {"DELETE", "/domains/default", ``, "If-Match", "*", 422, "invalid", "always exists"},
		"clients in an instance":   {"PATCH", "/instances/acme", `{"clients":[]}`, "If-Match", "*", 422, "invalid", "one by one"},
		"the hash of a secret":     {"PATCH", "/instances/acme/clients/worker", `{"secrets":[{"id":"s1","hash":"v1:x"}]}`, "If-Match", "*", 422, "invalid", "hash"},
		"whose instance it is":     {"PATCH", "/instances/acme/clients/worker", `{"instance":"other"}`, "If-Match", "*", 422, "invalid", "instance"},
		"a secret kept from none":  {"POST", "/upstreams", `{"name":"x","protocol":"openai","base_url":"https://u.example","api_keys":["[kept]"]}`, "", "", 422, "invalid", "kept"},
		"a third secret":           {"PATCH", "/instances/acme/clients/worker", `{"secrets":[{"id":"s1"},{"id":"s2"},{"id":"s3"}]}`, "If-Match", "*", 422, "invalid", "two secrets"},
		"a client of none":         {"POST", "/instances/none/clients", `{"name":"x"}`, "", "", 404, "not_found", ""},
		"clients of none":          {"GET", "/instances/none/clients", ``, "", "", 404, "not_found", ""},
		"two conditions":           {"PATCH", "/groups/batch", `{}`, "If-Match", `"a", "b"`, 400, "bad_request", "If-Match"},
		"a weak version":           {"PATCH", "/groups/batch", `{}`, "If-Match", `W/"a"`, 400, "bad_request", "If-Match"},
		"a version without quotes": {"PATCH", "/groups/batch", `{}`, "If-Match", `abc`, 400, "bad_request", "If-Match"},
		"a page of nothing":        {"GET", "/groups?limit=0", ``, "", "", 400, "bad_request", "limit"},
		"a page of too much":       {"GET", "/groups?limit=201", ``, "", "", 400, "bad_request", "limit"},
		"a misspelled dry_run":     {"POST", "/apply?dryrun=true", `{"version":1}`, "", "", 400, "bad_request", "dry_run"},
		"a parameter twice":        {"POST", "/apply?prune=true&prune=false", `{"version":1}`, "", "", 400, "bad_request", "twice"},
		"a query that is none":     {"GET", "/groups?a=%zz", ``, "", "", 400, "bad_request", "query"},
		"no such path":             {"GET", "/secrets", ``, "", "", 404, "not_found", "openapi.json"},
		"an empty segment":         {"GET", "/groups//batch", ``, "", "", 404, "not_found", ""},
		"a slash at the end":       {"GET", "/groups/", ``, "", "", 404, "not_found", ""},
		"a climb":                  {"GET", "/groups/..%2Fconsumers", ``, "", "", 404, "not_found", ""},
		"a method that it has not": {"DELETE", "/groups", ``, "", "", 405, "method_not_allowed", "GET, HEAD, POST"},
		"an apply with a twin":     {"POST", "/apply?prune=true", `{"version":1,"Consumers":[]}`, "", "", 422, "invalid", `\"Consumers\"`},
		"an apply with a twin in it": {"POST", "/apply", `{"version":1,"groups":[{"name":"a","limits":{"CALLS_PER_DAY":1}}]}`, "", "", 422,
			"invalid", `\"CALLS_PER_DAY\"`},
		"an apply with a member twice":    {"POST", "/apply", `{"version":1,"groups":[],"groups":[{"name":"a"}]}`, "", "", 400, "bad_request", "twice"},
		"an apply of a flag that is none": {"POST", "/apply?prune=yes", `{"version":1}`, "", "", 400, "bad_request", "prune"},
		"an apply with faults":            {"POST", "/apply", `{"version":1,"groups":[{"name":"?"}]}`, "", "", 422, "invalid", "groups[0].name"},
	} {
		t.Run(name, func(t *testing.T) {
			got := a.call(c.method, c.path, c.body, c.header, c.value)
			if c.status >= 400 {
				a.refused(c.status, c.code, got)
			}
			if got.status != c.status || !strings.Contains(got.text, c.has) {
				t.Errorf("got %d %s", got.status, got.text)
			}
			if got.status == 405 && got.header.Get("Allow") == "" {
				t.Error("no Allow")
			}
		})
	}
	if after := a.must(200, a.call("GET", "/export", "")).text; after != export {
		t.Errorf("what was refused was done:\n%s\n%s", export, after)
	}
}

func TestPagesHoldEachObjectOnce(t *testing.T) {
	t.Parallel()
	a := newAcme(t)
	for i := range 7 {
		a.must(201, a.call("POST", "/groups", fmt.Sprintf(`{"name":"team-%d"}`, i)))
		a.must(201, a.call("POST", "/instances/acme/clients", fmt.Sprintf(`{"id":"team-%d","name":"n"}`, i)))
	}
	for _, list := range []string{"/groups", "/instances/acme/clients"} {
		var names []string
		pages := 0
		for after := ""; ; pages++ {
			got := a.must(200, a.call("GET", list+"?prefix=team-&limit=3&after="+after, ""))
			for _, item := range got.body["items"].([]any) {
				object := item.(map[string]any)
				name, _ := object["name"].(string)
				if id, is := object["id"].(string); is {
					name = id
				}
				if object["version"] == "" {
					t.Errorf("no version: %v", object)
				}
				names = append(names, name)
			}
			if after = got.str("next"); after == "" {
				break
			}
		}
		if strings.Join(names, " ") != "team-0 team-1 team-2 team-3 team-4 team-5 team-6" || pages != 2 {
			t.Errorf("%s: %d pages of %v", list, pages+1, names)
		}
	}
	if got := a.must(200, a.call("GET", "/groups?prefix=nobody", "")); got.text != "{\"items\":[],\"next\":\"\"}\n" {
		t.Errorf("an empty list: %s", got.text)
	}
}

func TestFiftyEditorsLoseNoUpdate(t *testing.T) {
	t.Parallel()
	a := newAcme(t)
	const editors = 50
	var wait sync.WaitGroup
	var conflicts atomic.Int64
	for n := range editors {
		wait.Go(func() {
			for {
				seen := a.call("GET", "/groups/batch", "")
				var group registry.Group
				_ = json.Unmarshal([]byte(seen.text), &group)
				body := fmt.Sprintf(`{"limits":{"calls_per_day":%d}}`, group.Limits.CallsPerDay+1)
				got := a.call("PATCH", "/groups/batch", body, "If-Match", seen.header.Get("ETag"))
				if got.status == http.StatusOK {
					return
				}
				if got.status != http.StatusPreconditionFailed {
					t.Errorf("editor %d: got %d %s", n, got.status, got.text)
					return
				}
				conflicts.Add(1)
				time.Sleep(rand.N(20 * time.Millisecond)) // as a client does
			}
		})
	}
	wait.Wait()
	var group registry.Group
	got := a.must(200, a.call("GET", "/groups/batch", ""))
	if err := json.Unmarshal([]byte(got.text), &group); err != nil || group.Limits.CallsPerDay != 500+editors {
		t.Errorf("after %d editors and %d conflicts: %s", editors, conflicts.Load(), got.text)
	}
	verdict := a.must(200, a.call("GET", "/audit/verify", ""))
	if verdict.body["broken"] != nil {
		t.Errorf("audit %s", verdict.text)
	}
}

func TestManyGiveOneConsumerHisAuthorizationsAtOnce(t *testing.T) {
	t.Parallel()
	a := newAcme(t)
	const apis = 20
	for n := range apis {
		a.must(201, a.call("POST", "/apis",
			fmt.Sprintf(`{"name":"a%d","type":"llm","base_path":"/a%d","upstreams":[{"upstream":"model"}]}`, n, n)))
	}
	var wait sync.WaitGroup
	for n := range apis {
		wait.Go(func() {
			if got := a.call("PUT", fmt.Sprintf("/consumers/hal/authorizations/a%d", n), "{}"); got.status != http.StatusCreated {
				t.Errorf("got %d %s", got.status, got.text)
			}
		})
	}
	wait.Wait()
	if got := a.must(200, a.call("GET", "/consumers/hal/authorizations", "")); len(got.body["items"].([]any)) != apis {
		t.Errorf("got %s", got.text)
	}
}

func TestAnEmptyRegistryIsFilledOverTheAPI(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.must(200, a.call("GET", "/instances", ""))
	a.must(201, a.call("POST", "/instances", `{"id":"first","description":"d","privacy_agreement":"accepted","m2m":"disabled"}`))
	keys := a.must(200, a.call("GET", "/instances/first/keys", ""))
	if list := keys.body["keys"].([]any); len(list) != 2 {
		t.Errorf("an instance without its keys: %s", keys.text)
	}
	client := a.must(201, a.call("POST", "/instances/first/clients", `{"name":"Nightly"}`))
	generated := client.body["generated"].([]any)
	if len(generated) != 2 || !strings.HasPrefix(client.header.Get("Location"), admin.Prefix+"/instances/first/clients/app_") {
		t.Errorf("got %v %s", client.header, client.text)
	}
	a.must(200, a.call("GET", strings.TrimPrefix(client.header.Get("Location"), admin.Prefix), ""))
	wrong := a.refused(422, "invalid", a.call("POST", "/instances", `{"id":"second","description":"d"}`))
	if !strings.Contains(wrong.text, "privacy_agreement") {
		t.Errorf("got %s", wrong.text)
	}
	if keys, err := a.ring.Keys(t.Context(), "second"); err != nil || len(keys) != 0 {
		t.Errorf("keys of an instance that was refused: %v %v", keys, err)
	}
}

func FuzzCall(f *testing.F) {
	for _, seed := range [][3]string{
		{"POST", "/groups", `{"name":"x"}`}, {"PATCH", "/groups/batch", `{"limits":{"calls_per_day":null,"a":{"b":{}}}}`},
		{"PUT", "/instances/acme/resource_servers/a%2Fb", `{"scopes":[null]}`}, {"PUT", "/consumers/kay/authorizations/models", `[]`},
		{"PATCH", "/consumers/kay/api_keys/k1", `{"status":{"a":1}}`}, {"POST", "/consumers/jay/jwt/key", `{"kind":"symmetric"}`},
		{"PATCH", "/consumers/jay", `{"jwt":[],"authorizations":null}`}, {"PUT", "/prices", `{"prices":{}}`},
		{"PUT", "/instances/acme/clients/worker/permissions", `{"items":[]}`}, {"GET", "/groups?limit=1&after=%00", ``},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	a := newAcme(f)
	f.Fuzz(func(t *testing.T, method, path, body string) {
		r := httptest.NewRequest(http.MethodGet, "/", strings.NewReader(body))
		target, err := url.ParseRequestURI(admin.Prefix + path)
		if err != nil {
			return
		}
		r.Method, r.URL = method, target
		r.Header.Set("Authorization", "Bearer "+adminToken)
		r.Header.Set("If-Match", "*")
		recorder := httptest.NewRecorder()
		a.handler.ServeHTTP(recorder, r)
		if recorder.Code >= 500 || strings.Contains(recorder.Body.String(), "sk-MARKER") {
			t.Errorf("%s %s %s: got %d %s", method, path, body, recorder.Code, recorder.Body)
		}
	})
}
