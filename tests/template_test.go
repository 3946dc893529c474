package tests

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// functionNames are the functions that are deployed, by folder under functions/.
var functionNames = []string{"admin", "authorizer", "jwks", "proxy", "token"}

// tree is a place in a YAML document. Tags such as !Ref stand in the way of plain decoding, so nodes are
// walked.
type tree struct {
	t    *testing.T
	path string
	node *yaml.Node
}

func parseYAML(t *testing.T, file string) tree {
	t.Helper()
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text(t, file)), &document); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return tree{t, file, document.Content[0]}
}

func text(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", file))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// fields are the members of a mapping, those that it merges (<<) included; its own come first.
func (n tree) fields() map[string]tree {
	all := map[string]tree{}
	node := n.node
	for node != nil && node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node == nil || node.Kind != yaml.MappingNode {
		return all
	}
	for i := 0; i < len(node.Content); i += 2 {
		name, member := node.Content[i].Value, tree{n.t, n.path + "." + node.Content[i].Value, node.Content[i+1]}
		if name != "<<" {
			all[name] = member
			continue
		}
		for inherited, value := range member.fields() {
			if _, own := all[inherited]; !own {
				all[inherited] = value
			}
		}
	}
	return all
}

// at follows names; it ends the test where one is missing.
func (n tree) at(names ...string) tree {
	n.t.Helper()
	for _, name := range names {
		next, there := n.fields()[name]
		if !there {
			n.t.Fatalf("%s has no %s", n.path, name)
		}
		n = next
	}
	return n
}

// get follows names; the zero tree where one is missing.
func (n tree) get(names ...string) tree {
	for _, name := range names {
		n = n.fields()[name]
	}
	return n
}

// value is a scalar's text, "" of anything else.
func (n tree) value() string {
	if n.node == nil || n.node.Kind != yaml.ScalarNode {
		return ""
	}
	return n.node.Value
}

func (n tree) list() []string {
	var values []string
	if n.node != nil {
		for _, item := range n.node.Content {
			values = append(values, item.Value)
		}
	}
	return values
}

// deployed is a function as a template describes it.
type deployed struct {
	environment map[string]tree
	resource    tree
}

// awsFunctions finds the functions of template.yaml, by folder, with the environment that all share.
func awsFunctions(t *testing.T) (template tree, functions map[string]deployed) {
	t.Helper()
	template, functions = parseYAML(t, "template.yaml"), map[string]deployed{}
	for id, resource := range template.at("Resources").fields() {
		if resource.get("Type").value() != "AWS::Serverless::Function" {
			continue
		}
		environment := template.at("Globals", "Function", "Environment", "Variables").fields()
		maps.Copy(environment, resource.get("Properties", "Environment", "Variables").fields())
		functions[strings.ToLower(strings.TrimSuffix(id, "Function"))] = deployed{environment, resource}
	}
	return template, functions
}

func fcFunctions(t *testing.T) map[string]deployed {
	t.Helper()
	functions := map[string]deployed{}
	for name, resource := range parseYAML(t, "infra/fc/s.yaml").at("resources").fields() {
		if resource.get("component").value() == "fc3" {
			functions[name] = deployed{resource.at("props", "environmentVariables").fields(), resource}
		}
	}
	return functions
}

func templates(t *testing.T) map[string]map[string]deployed {
	t.Helper()
	_, aws := awsFunctions(t)
	return map[string]map[string]deployed{"template.yaml": aws, "infra/fc/s.yaml": fcFunctions(t)}
}

func TestTemplatesDeployEveryFunction(t *testing.T) {
	for file, functions := range templates(t) {
		if got := slices.Sorted(maps.Keys(functions)); !slices.Equal(got, functionNames) {
			t.Errorf("%s deploys %q, want %q", file, got, functionNames)
		}
	}
	for _, name := range functionNames {
		if _, err := os.Stat(filepath.Join("..", "functions", name, "main.go")); err != nil {
			t.Errorf("function %s has no main: %v", name, err)
		}
	}
}

func TestTemplateFunctionsAreBuilt(t *testing.T) {
	makefile := text(t, "Makefile")
	_, functions := awsFunctions(t)
	for name, f := range functions {
		if got := f.resource.get("Metadata", "BuildMethod").value(); got != "makefile" {
			t.Errorf("%s: BuildMethod %q, want makefile", f.resource.path, got)
		}
		id := f.resource.path[strings.LastIndexByte(f.resource.path, '.')+1:]
		target := regexp.MustCompile(`(?m)^(build-%Function|([\w-]+ )*build-` + id + `( [\w-]+)*) *:`)
		if !target.MatchString(makefile) {
			t.Errorf("the Makefile has no target build-%s, which builds %s", id, name)
		}
	}
	built := regexp.MustCompile(`(?m)^FUNCTIONS *:?= *(.*)$`).FindStringSubmatch(makefile)
	if built == nil {
		t.Fatal("the Makefile has no list FUNCTIONS")
	}
	for name, f := range fcFunctions(t) {
		if got, want := f.resource.at("props", "code").value(), "../../dist/fc/"+name; got != want {
			t.Errorf("%s: code %q, want %q", f.resource.path, got, want)
		}
		if !slices.Contains(strings.Fields(built[1]), name) {
			t.Errorf("make build does not build %s: FUNCTIONS is %q", name, built[1])
		}
	}
}

func TestTemplateMachinesFitTheBuild(t *testing.T) {
	makefile := text(t, "Makefile")
	for _, want := range []string{
		"GOARCH=arm64 go build $(RELEASE) -o dist/lambda/", "GOARCH=amd64 go build $(RELEASE) -o dist/fc/",
		`GOARCH=arm64 go build $(RELEASE) -o "$(ARTIFACTS_DIR)/bootstrap"`,
	} {
		if !strings.Contains(makefile, want) {
			t.Errorf("the Makefile does not have %q", want)
		}
	}
	template, functions := awsFunctions(t)
	shared := template.at("Globals", "Function")
	if got := shared.at("Architectures").list(); !slices.Equal(got, []string{"arm64"}) {
		t.Errorf("Architectures %q, want arm64 as the Makefile builds", got)
	}
	for name, want := range map[string]string{"Runtime": "provided.al2023", "Handler": "bootstrap"} {
		if got := shared.at(name).value(); got != want {
			t.Errorf("%s %q, want %q", name, got, want)
		}
		for _, f := range functions {
			if own := f.resource.get("Properties", name); own.node != nil {
				t.Errorf("%s differs from the rest", own.path)
			}
		}
	}
	for _, f := range fcFunctions(t) {
		props := f.resource.at("props")
		if got := props.at("runtime").value(); got != "custom.debian12" {
			t.Errorf("%s: runtime %q, want custom.debian12, which is amd64", props.path, got)
		}
		port := props.at("customRuntimeConfig", "port").value()
		command := props.at("customRuntimeConfig", "command").list()
		if port != "9000" || !slices.Equal(command, []string{"/code/bootstrap"}) {
			t.Errorf("%s: %q on port %s, want /code/bootstrap on 9000", props.path, command, port)
		}
		for _, hook := range []string{"initializer", "preStop"} {
			props.at("instanceLifecycleConfig", hook, "handler")
		}
	}
}

// The names stand in the configuration's own list and in the README's table. Source text is read: nothing of
// ours is imported.
func TestTemplateVariablesAreKnown(t *testing.T) {
	entry := regexp.MustCompile(`(?m)^\t\t\{"([A-Z][A-Z0-9_]+)",`)
	known := map[string]bool{}
	for _, match := range entry.FindAllStringSubmatch(text(t, "shared/config/variables.go"), -1) {
		known[match[1]] = true
	}
	if len(known) < 10 {
		t.Fatalf("shared/config/variables.go lists only %d variables; has its form changed?", len(known))
	}
	readme := text(t, "README.md")
	for name := range known {
		if !strings.Contains(readme, "`"+name+"`") {
			t.Errorf("the README's environment table lacks %s", name)
		}
	}
	for file, functions := range templates(t) {
		for name, f := range functions {
			for variable := range f.environment {
				if !known[variable] {
					t.Errorf("%s: %s sets %s, which nothing reads", file, name, variable)
				}
			}
			for _, variable := range []string{"REDIS_URL", "KEYLESS_MASTER_KEY", "KEYLESS_PUBLIC_URL"} {
				if _, set := f.environment[variable]; !set {
					t.Errorf("%s: %s would not start without %s", file, name, variable)
				}
			}
		}
	}
}

func TestTemplateSigningKeysStayWhereTokensAreMinted(t *testing.T) {
	for file, functions := range templates(t) {
		for variable, may := range map[string][]string{
			"KEYLESS_SIGNING_MASTER_KEY": {"admin", "token"}, "KEYLESS_ADMIN_TOKEN": {"admin"},
		} {
			var have []string
			for name, f := range functions {
				if _, set := f.environment[variable]; set {
					have = append(have, name)
				}
			}
			if slices.Sort(have); !slices.Equal(have, may) {
				t.Errorf("%s gives %s to %q, want %q", file, variable, have, may)
			}
		}
	}
}

// Secrets are never written down: they are looked up when the stack is deployed.
func TestTemplateSecretsAreLookedUp(t *testing.T) {
	lookup := regexp.MustCompile(`^(\{\{resolve:secretsmanager:|\$\{env\('[A-Z_]+'\)\}$)`)
	for file, functions := range templates(t) {
		for name, f := range functions {
			for _, variable := range []string{
				"REDIS_URL", "KEYLESS_MASTER_KEY", "KEYLESS_SIGNING_MASTER_KEY", "KEYLESS_ADMIN_TOKEN"} {
				if v, set := f.environment[variable]; set && !lookup.MatchString(v.value()) {
					t.Errorf("%s: %s has %s as %q", file, name, variable, v.value())
				}
			}
		}
	}
}

// An event does not tell whether its integration streams, so the function's mode must be what each of its
// integrations is.
func TestTemplateStreamModeIsTheIntegrations(t *testing.T) {
	_, functions := awsFunctions(t)
	for name, f := range functions {
		mode := "buffered"
		if v := f.environment["KEYLESS_RESPONSE_MODE"].value(); v != "" {
			mode = v
		}
		integrations := map[string]string{}
		for event, e := range f.resource.get("Properties", "Events").fields() {
			integrations[event] = "buffered"
			if e.get("Properties", "ResponseTransferMode").value() == "RESPONSE_STREAM" {
				integrations[event] = "stream"
				if e.at("Type").value() != "Api" {
					t.Errorf("%s: only a REST API's integration streams", e.path)
				}
			}
		}
		if u := f.resource.get("Properties", "FunctionUrlConfig"); u.node != nil {
			integrations["function URL"] = "buffered"
			if u.get("InvokeMode").value() == "RESPONSE_STREAM" {
				integrations["function URL"] = "stream"
			}
		}
		for where, is := range integrations {
			if is != mode {
				t.Errorf("%s answers in mode %s, but %s is %s", name, mode, where, is)
			}
		}
		if name == "proxy" && mode != "stream" {
			t.Error("the proxy does not stream")
		}
	}
	for name, f := range fcFunctions(t) {
		if v, set := f.environment["KEYLESS_RESPONSE_MODE"]; set {
			t.Errorf("%s: a web function streams by itself; %s has no meaning there", name, v.path)
		}
	}
}

// L02: an answer that is remembered for 0 s outlives no token.
func TestL02TemplateAuthorizerIsAskedEveryTime(t *testing.T) {
	template, _ := awsFunctions(t)
	attached := 0
	for id, resource := range template.at("Resources").fields() {
		for name, a := range resource.get("Properties", "Auth", "Authorizers").fields() {
			attached++
			ttl := a.at("Identity", "ReauthorizeEvery").node
			if ttl.Kind != yaml.ScalarNode || ttl.Tag != "!!int" || ttl.Value != "0" {
				t.Errorf("%s: ReauthorizeEvery is %q, want the number 0", a.path, ttl.Value)
			}
			if got := a.at("FunctionArn").value(); got != "AuthorizerFunction.Arn" {
				t.Errorf("%s: asks %q", a.path, got)
			}
			for field, want := range map[string]string{"AuthorizerPayloadFormatVersion": "2.0",
				"EnableSimpleResponses": "true", "EnableFunctionDefaultPermissions": "true"} {
				if got := a.at(field).value(); got != want {
					t.Errorf("%s: %s is %q, want %q", a.path, field, got, want)
				}
			}
			if got := resource.at("Properties", "Auth", "DefaultAuthorizer").value(); got != name {
				t.Errorf("%s: routes are open unless they say otherwise: DefaultAuthorizer is %q", id, got)
			}
		}
	}
	if attached == 0 {
		t.Error("no API asks the authorizer")
	}
}

func TestTemplateAuthorizerOfFunctionComputeIsNotPublic(t *testing.T) {
	authorizer := fcFunctions(t)["authorizer"].resource
	for _, item := range authorizer.at("props", "triggers").node.Content {
		trigger := tree{t, authorizer.path + ".triggers", item}
		if got := trigger.at("triggerConfig", "disableURLInternet").value(); got != "true" {
			t.Errorf("%s: disableURLInternet is %q, want true", trigger.path, got)
		}
	}
	domain := parseYAML(t, "infra/fc/s.yaml").at("resources", "domain", "props", "routeConfig", "routes")
	routes := map[string]string{}
	for _, item := range domain.node.Content {
		route := tree{t, domain.path, item}
		routes[route.at("path").value()] = route.at("functionName").value()
	}
	for path, function := range map[string]string{"/${vars.instance}/oauth2/token": "token",
		"/${vars.instance}/oauth2/introspect": "token", "/${vars.instance}/oauth2/revoke": "token", "/_/console/*": "admin",
		"/${vars.instance}/oauth2/*": "jwks", "/.well-known/openid-configuration/*": "jwks",
		"/.well-known/oauth-authorization-server/*": "jwks", "/_/admin/*": "admin", "/*": "proxy"} {
		if got, want := routes[path], "${resources."+function+".props.functionName}"; got != want {
			t.Errorf("%s goes to %q, want %q", path, got, want)
		}
	}
	if len(routes) != 9 {
		t.Errorf("the domain has %d routes: one that is not expected here is one that nobody reviewed", len(routes))
	}
}
