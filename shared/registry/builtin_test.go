package registry_test

import (
	"encoding/json"
	"strings"
	"testing"

	"keyless/shared/registry"
)

func TestTheAdminAPIIsAResourceServerOfEveryInstance(t *testing.T) {
	t.Parallel()
	const instance = `{"version":1,"instances":[{"id":"acme","description":"d","privacy_agreement":"accepted","resource_servers":[SERVERS],
	  "clients":[{"id":"c","name":"C","permissions":[PERMISSIONS]}]}],
	  "apis":[{"name":"a","type":"http","base_path":"/a"API}]}`
	for name, c := range map[string]struct{ servers, permissions, api, fault string }{
		"a permission on it":             {"", `{"resource_server":"keyless:admin","scopes":["identity.read","admin.write"]}`, "", ""},
		"a permission on what it lacks":  {"", `{"resource_server":"keyless:admin","scopes":["identity.all"]}`, "", "permissions[0].scopes[0]"},
		"a permission in other capitals": {"", `{"resource_server":"Keyless:admin","scopes":["admin.read"]}`, "", "permissions[0].resource_server"},
		"its identifier, configured":     {`{"identifier":"keyless:admin","name":"n"}`, "", "", "resource_servers[0].identifier"},
		"an API that stands for it":      {"", "", `,"resource_server":"keyless:admin"`, "apis[0].resource_server"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := strings.NewReplacer("SERVERS", c.servers, "PERMISSIONS", c.permissions, "API", c.api).Replace(instance)
			var config registry.Config
			if err := json.Unmarshal([]byte(text), &config); err != nil {
				t.Fatal(err)
			}
			faults := registry.Validate(&config)
			if got := faults.Error(); (got == "") != (c.fault == "") || !strings.Contains(got, c.fault) {
				t.Errorf("got %q", got)
			}
		})
	}
	in := registry.Instance{}
	if offered := in.Offered(); len(offered) != 1 || offered[0] != in.ResourceServer(registry.AdminServer) || !offered[0].Status.On() {
		t.Errorf("offered %v", offered)
	}
}
