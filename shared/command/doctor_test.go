package command

import (
	"net"
	"strings"
	"testing"
	"time"

	"keyless/shared/admin"
	"keyless/shared/registry/storetest"
)

func TestDoctorOnAGatewayThatIsWell(t *testing.T) {
	env := modelGateway(t, nil)
	for where, way := range bothWays(env) {
		out := must(t, exitOK, way, "doctor")
		says(t, out, "ok       environment: complete", "ok       store: answers in", "ok       clock: ", "its secrets open", "ok       signing keys of acme: 2 published",
			"ok       upstream demo: reached", "ok       public URL: ", "!problem")
		says(t, must(t, exitOK, way, "doctor", "--json"), `{"subject":"clock","status":"ok"`)
		_ = where
	}
}

func TestDoctorSaysWhatToDo(t *testing.T) {
	env := empty(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + listener.Addr().String()
	_ = listener.Close()
	must(t, exitOK, env, "set", "upstream", "gone", "protocol=http", "base_url="+closed)
	must(t, exitOK, env, "set", "upstream", "plain", "protocol=http", "base_url="+strings.Replace(env["SERVED"], "http:", "https:", 1))
	says(t, must(t, exitFailed, env, "doctor"), "problem  upstream gone: not reached from here", "→ look at its base_url", "problem  upstream plain", "2 problems")

	none := map[string]string{"KEYLESS_DATA": t.TempDir()}
	says(t, must(t, exitFailed, none, "doctor"), "problem  gateway: no keyless serve runs")
	says(t, must(t, exitFailed, map[string]string{"KEYLESS_LOG": "loud", "REDIS_URL": "http://x"}, "doctor"), "problem  environment: KEYLESS_LOG", "REDIS_URL", "KEYLESS_MASTER_KEY")
	says(t, must(t, exitFailed, map[string]string{"KEYLESS_URL": env["SERVED"]}, "doctor"), "KEYLESS_ADMIN_TOKEN is not set")
	says(t, must(t, exitFailed, map[string]string{"KEYLESS_URL": env["SERVED"], "KEYLESS_ADMIN_TOKEN": "another-token-0123456789"}, "doctor"), "problem  gateway", "401")
	says(t, must(t, exitFailed, map[string]string{"KEYLESS_URL": closed, "KEYLESS_ADMIN_TOKEN": "another-token-0123456789"}, "doctor"), "problem  gateway", "look whether it runs")
	// The store of a serving gateway, under a master key that is not its own.
	p := onStore(t, env)
	other := map[string]string{"REDIS_URL": p.Config.RedisURL.Reveal(), "KEYLESS_MASTER_KEY": "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=", "KEYLESS_LOG": "text,error"}
	says(t, must(t, exitFailed, other, "doctor"), "warning  environment: KEYLESS_PUBLIC_URL", "problem  registry: what is stored does not open")
}

func TestDoctorOnARedisServer(t *testing.T) {
	t.Parallel()
	env := map[string]string{
		"REDIS_URL": "redis://" + storetest.Redis(t), "KEYLESS_MASTER_KEY": "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=", "KEYLESS_PUBLIC_URL": "http://127.0.0.1:1",
		"KEYLESS_LOG": "text,error",
	}
	says(t, must(t, exitFailed, env, "doctor"), "version: Redis", "ok       eviction: noeviction", "persistence: a restart loses everything", "nothing is configured yet")
	must(t, exitOK, env, "set", "group", "team", "limits.calls_per_day=7")
	says(t, must(t, exitFailed, env, "doctor"), "ok       clock: ", "problem  public URL: ")
}

func TestDoctorJudgesServers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		facts admin.ServerFacts
		says  []string
	}{
		"a good one":       {admin.ServerFacts{Version: "7.2.4", Eviction: "noeviction", Persistence: "aof"}, []string{"!problem", "!warning"}},
		"an old one":       {admin.ServerFacts{Version: "6.0.16", Eviction: "noeviction", Persistence: "aof"}, []string{"problem version", "6.2 or newer"}},
		"one that forgets": {admin.ServerFacts{Version: "6.2.0", Eviction: "allkeys-lru", Persistence: "none"}, []string{"problem eviction", "problem persistence", "!problem version"}},
		"one that is mute": {admin.ServerFacts{}, []string{"warning version", "warning eviction", "warning persistence", "!problem"}},
	} {
		e := &examination{}
		e.server(c.facts)
		var told strings.Builder
		for _, f := range e.found {
			told.WriteString(f.Status + " " + f.Subject + ": " + f.Says + f.Do + "\n")
		}
		says(t, told.String(), c.says...)
		if t.Failed() {
			t.Log(name)
		}
	}
	e := &examination{g: &gateway{}}
	var h health
	h.Time = time.Now().Add(-time.Minute)
	e.clock(t.Context(), h)
	if e.found[0].Status != fault {
		t.Errorf("a clock a minute behind: %v", e.found)
	}
}

func TestDoctorComparesATemplate(t *testing.T) {
	env := empty(t)
	good := write(t, "template.yaml", "Variables:\n  REDIS_URL: !Ref Redis\n  KEYLESS_MASTER_KEY: !Sub \"${x}\"\n  KEYLESS_PUBLIC_URL: https://id.acme.example\n")
	says(t, must(t, exitOK, env, "doctor", "--template", good), "ok       template: its 3 variables are known and agree")
	bad := write(t, "template.yaml", "Variables:\n  REDIS_URL: !Ref Redis\n  KEYLESS_MASTER_KYE: !Ref x\n  KEYLESS_CELL: kx\n")
	env["KEYLESS_CELL"], env["KEYLESS_REGION"] = "kg", "here"
	says(t, must(t, exitFailed, env, "doctor", "--template", bad), "KEYLESS_MASTER_KYE, which this version does not know", "does not set KEYLESS_MASTER_KEY",
		"does not set KEYLESS_PUBLIC_URL", "KEYLESS_CELL is another there", "warning  template: KEYLESS_REGION is set here and not there", "4 problems")
	says(t, must(t, exitFailed, env, "doctor", "--template", "/nowhere"), "read the template")
}
