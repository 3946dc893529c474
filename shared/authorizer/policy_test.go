package authorizer_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"keyless/shared/registry"
)

var update = flag.Bool("update", false, "write the golden files anew")

// restReply is what API Gateway reads.
type restReply struct {
	PrincipalID    string `json:"principalId"`
	PolicyDocument struct {
		Version   string
		Statement []struct {
			Action   []string
			Effect   string
			Resource []string
		}
	} `json:"policyDocument"`
	Context map[string]string `json:"context"`
}

func parse(t *testing.T, reply json.RawMessage) restReply {
	t.Helper()
	var r restReply
	if err := json.Unmarshal(reply, &r); err != nil {
		t.Fatalf("%s: %v", reply, err)
	}
	if r.PrincipalID == "" || r.PolicyDocument.Version != "2012-10-17" || len(r.PolicyDocument.Statement) == 0 {
		t.Fatalf("incomplete: %s", reply)
	}
	return r
}

// decides evaluates the policy as IAM does: an explicit Deny, else an Allow, else denied. "*" does not stop
// at a slash. It also holds the policy to the bounds of every policy of ours.
func (r restReply) decides(t *testing.T, arn string) bool {
	t.Helper()
	allow, deny := false, false
	for _, s := range r.PolicyDocument.Statement {
		for _, resource := range s.Resource {
			star := strings.IndexByte(resource, '*')
			if len(resource) > 512 || star >= 0 && star < len(stageARN) ||
				star >= 0 && (star != len(resource)-1 || resource[star-1] != '/') {
				t.Errorf("resource %q: too long, or a wildcard that is not the end of a path of the stage", resource)
			}
			if s.Effect == "Allow" && resource == stageARN+"/*" {
				t.Error("the whole stage is allowed")
			}
			prefix, wild := strings.CutSuffix(resource, "*")
			if arn == resource || wild && strings.HasPrefix(arn, prefix) {
				allow, deny = allow || s.Effect == "Allow", deny || s.Effect == "Deny"
			}
		}
	}
	return allow && !deny
}

// L01: a gateway that remembers a policy judges the next path and method by it.
func TestL01APolicyListsEveryAPIOfTheDomain(t *testing.T) {
	t.Parallel()
	a := open(standard().store(t), &counter{limit: 9})
	reply, err := ask(t, a, requestEvent(get("/reports/2026", bearer("alice"))))
	if err != nil {
		t.Fatal(err)
	}
	other, err := ask(t, a, requestEvent(call{method: "POST", path: "/reports",
		host: "default.example", authorization: []string{bearer("alice")}}))
	if err != nil {
		t.Fatal(err)
	}
	one, _ := json.MarshalIndent(parse(t, reply).PolicyDocument, "", " ")
	two, _ := json.MarshalIndent(parse(t, other).PolicyDocument, "", " ")
	if !bytes.Equal(one, two) {
		t.Error("the policy is not a function of the credential alone")
	}
	const golden = "testdata/policy.golden"
	if *update {
		if err := os.WriteFile(golden, append(one, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(append(one, '\n'), want) {
		t.Errorf("got\n%s\nwant\n%s", one, want)
	}
}

func TestL01APolicyHoldsForOtherPathsToo(t *testing.T) {
	t.Parallel()
	a := open(standard().store(t), &counter{limit: 9})
	reply, err := ask(t, a, requestEvent(get("/reports", bearer("alice"))))
	if err != nil {
		t.Fatal(err)
	}
	r := parse(t, reply)
	for call, want := range map[string]bool{
		"GET/reports": true, "POST/reports/a/b": true, "GET/reportsx": false, "GET/report": false,
		"GET/v1": true, "DELETE/v1/chat": true, "GET/v1/admin": false, "GET/v1/admin/x": false,
		"GET/v1/administer": true,
		"GET/open":          true, "GET/keys": false, "GET/draft": false, "GET/elsewhere": false,
		"GET/other/v1/x": false, "GET/": false, "GET/keys/v1/x": false, "TRACE/reports": false,
	} {
		if got := r.decides(t, stageARN+"/"+call); got != want {
			t.Errorf("%s: got %t", call, got)
		}
	}
}

func TestALimitDeniesTheAPIThatWasAskedFor(t *testing.T) {
	t.Parallel()
	reply, err := ask(t, open(standard().store(t), &counter{}), requestEvent(get("/reports", bearer("alice"))))
	if err != nil {
		t.Fatal(err)
	}
	if r := parse(t, reply); r.decides(t, stageARN+"/GET/reports") || !r.decides(t, stageARN+"/GET/v1/x") {
		t.Errorf("got %s", reply)
	}
}

func TestWhereNothingCanBeSaidTheStageIsDenied(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]call{
		"a path with a second spelling": get("/v1//admin", bearer("alice")),
		"a domain without APIs":         get("/elsewhere", bearer("alice")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := standard()
			if name == "a domain without APIs" {
				w.apis = w.apis[6:]
			}
			reply, err := ask(t, open(w.store(t), &counter{limit: 9}), requestEvent(c))
			if err != nil {
				t.Fatal(err)
			}
			s := parse(t, reply).PolicyDocument.Statement
			if len(s) != 1 || s[0].Effect != "Deny" || len(s[0].Resource) != 1 || s[0].Resource[0] != stageARN+"/*" {
				t.Errorf("got %s", reply)
			}
		})
	}
}

func TestACustomDomainsMappingIsNoPartOfTheARN(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		path, arn string
		others    map[string]bool
	}{
		"the mapping is the base path": {"/reports/2026", "/2026",
			map[string]bool{"GET/": true, "GET/x": true, "GET/v1": true}},
		"the base path goes on after it": {"/v1/chat", "/chat",
			map[string]bool{"GET/x": true, "GET/admin": false, "GET/admin/x": false}},
		"the root of the mapping": {"/reports", "/", map[string]bool{"GET/": true, "POST/x": true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			event := requestEvent(get(c.path, bearer("alice")))
			event["methodArn"] = stageARN + "/GET" + c.arn
			reply, err := ask(t, open(standard().store(t), &counter{limit: 9}), event)
			if err != nil {
				t.Fatal(err)
			}
			r := parse(t, reply)
			if !r.decides(t, stageARN+"/GET"+c.arn) {
				t.Errorf("denied: %s", reply)
			}
			for call, want := range c.others {
				if r.decides(t, stageARN+"/"+call) != want {
					t.Errorf("%s: %s", call, reply)
				}
			}
		})
	}
}

// Whatever stands within whatever, the policy says of the API that was asked for what the gate says, and
// allows nothing elsewhere that the gate does not.
func TestAPolicyNeverAllowsMoreThanTheGate(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	segments := []string{"a", "b", "a*", "ab"}
	for round := range 100 {
		bases := map[string]bool{}
		for range 1 + random.IntN(7) {
			path := ""
			for range random.IntN(4) {
				path += "/" + segments[random.IntN(len(segments))]
			}
			if path == "" {
				path = "/"
			}
			bases[path] = random.IntN(2) == 0
		}
		w, may := world{}, []string{}
		for path, allow := range bases {
			name := fmt.Sprintf("api%d", len(w.apis))
			w.apis = append(w.apis, fmt.Sprintf(`{"name":%q,"type":"http","base_path":%q}`, name, path))
			if allow {
				may = append(may, name)
			}
		}
		w.consumers = []string{consumer("alice", "", may...)}
		a := open(w.store(t), &counter{limit: 1 << 20})
		for asked := range bases {
			reply, err := ask(t, a, requestEvent(get(asked, bearer("alice"))))
			if err != nil {
				t.Fatal(err)
			}
			r := parse(t, reply)
			wild := strings.Contains(fmt.Sprint(bases), "*") // what no ARN can say is denied
			if got := r.decides(t, stageARN+"/GET"+asked); got != bases[asked] && !wild {
				t.Fatalf("round %d: %s of %v: got %t", round, asked, bases, got)
			}
			for path := range bases {
				for _, call := range []string{path, strings.TrimSuffix(path, "/") + "/zz"} {
					if r.decides(t, stageARN+"/GET"+call) && !bases[path] {
						t.Fatalf("round %d: asked for %s of %v, %s is allowed", round, asked, bases, call)
					}
				}
			}
		}
	}
}

func TestMoreAPIsThanAPolicyJudgesAreDenied(t *testing.T) {
	t.Parallel()
	w, may := world{apis: []string{`{"name":"all","type":"http","base_path":"/"}`}}, []string{"all"}
	for i := range 60 {
		name := fmt.Sprintf("api%02d", i)
		w.apis = append(w.apis, fmt.Sprintf(`{"name":%q,"type":"http","base_path":"/%s"}`, name, name))
		may = append(may, name)
	}
	w.consumers = []string{consumer("alice", "", may...)}
	a := open(w.store(t), &counter{limit: 99})
	for asked, listed := range map[string]int{"/other": 31, "/api00": 31, "/api59": 31} {
		reply, err := ask(t, a, requestEvent(get(asked, bearer("alice"))))
		if err != nil {
			t.Fatal(err)
		}
		r, n := parse(t, reply), 0
		for i := range 60 {
			if r.decides(t, fmt.Sprintf("%s/GET/api%02d", stageARN, i)) {
				n++
			}
		}
		if n != listed || !r.decides(t, stageARN+"/GET"+asked) {
			t.Errorf("%s: %d APIs are allowed", asked, n)
		}
	}
}

// places says where consumers' tokens may stand.
func places(list ...string) registry.Change {
	fields := map[string]string{}
	for _, place := range list {
		fields["jwtplace:"+place] = "1"
	}
	return registry.Change{Set: fields}
}

// A signature proves one request, and a path that global authentication asks nothing for says nothing of
// another: a policy that a gateway remembers must not carry such a ruling over.
func TestAPolicyOfOneRequest(t *testing.T) {
	t.Parallel()
	const issuer = "https://issuer.example"
	jwk := fmt.Sprintf(`{"kty":"oct","k":%q}`, base64.RawURLEncoding.EncodeToString(secret))
	global := fmt.Sprintf(`{"jwks":%q,"issuer":%q,"mode":"whitelist","rules":[{"path":"/open/login"}]}`,
		jwk, issuer)
	valid := "Bearer " + token(secret, fmt.Sprintf(`{"iss":%q,"sub":"s","exp":%d}`, issuer, now.Unix()+60))
	for name, c := range map[string]struct {
		call   call
		global bool
		others map[string]bool
	}{
		"signed": {signedBy("hal", get("/signed/a"), "n"), false, map[string]bool{
			"GET/signed/b": false, "POST/signed/a": false, "GET/signed": false, "GET/both": false, "GET/open": false}},
		"a token, and a signature that another API takes": {
			signedBy("hal", get("/reports", bearer("alice")), "n"), false, map[string]bool{
				"GET/reports/x": true, "GET/signed": false, "GET/both": false, "GET/open": true}},
		"an API key": {get("/both").with("X-Api-Key", "erin-key"), false, map[string]bool{
			"GET/both/x": true, "GET/keys": true, "GET/signed": false, "GET/open": true}},
		"a path that needs no token": {get("/open/login", "Bearer x"), true, map[string]bool{
			"GET/open": false, "GET/open/a": false, "GET/open2": false}},
		"a path that needs one": {get("/open/a", valid), true, map[string]bool{
			"GET/open/b": true, "GET/open/login": true, "GET/open2/x": true, "GET/reports": false}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := everything()
			w.apis = append(w.apis, `{"name":"open2","type":"http","base_path":"/open2","authentication":"disabled"}`)
			store := w.store(t)
			if c.global {
				write(t, store, registry.Change{Set: map[string]string{"global": global}})
			}
			reply, err := ask(t, open(store, &counter{limit: 9}), requestEvent(c.call))
			if err != nil {
				t.Fatal(err)
			}
			r := parse(t, reply)
			if !r.decides(t, stageARN+"/"+c.call.method+c.call.path) {
				t.Errorf("denied: %s", reply)
			}
			for call, want := range c.others {
				if r.decides(t, stageARN+"/"+call) != want {
					t.Errorf("%s: want %t: %s", call, want, reply)
				}
			}
		})
	}
}

func TestWhatNoARNCanSayIsDenied(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/signed/*", "/signed/$", "/signed/" + strings.Repeat("a", 600)} {
		reply, err := ask(t, open(everything().store(t), &counter{limit: 9}),
			requestEvent(signedBy("hal", get(path), "n")))
		if err != nil || strings.Contains(string(reply), `"Allow"`) {
			t.Errorf("%s: %s %v", path, reply, err)
		}
	}
}
