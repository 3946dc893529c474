package tests

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const editedConfig = `version: 1
upstreams: [{name: u, protocol: openai, base_url: "http://127.0.0.1:1/v1", api_keys: ["${PROVIDER_KEY}"]}]
apis: [{name: a, type: llm, base_path: /a, upstreams: [{upstream: u}]}]
groups: [{name: g}]
consumers:
  - {name: shared, description: "", api_key: {keys: [{id: k1, value: "${KEY}"}]}, authorizations: [{api: a}]}
`

// admins starts admin functions on one store.
func admins(t *testing.T, redis string, n int) []string {
	t.Helper()
	urls := make([]string, n)
	var started sync.WaitGroup
	for i := range urls {
		started.Go(func() { urls[i] = function(t, "admin", deployment(redis, "KEYLESS_ADMIN_TOKEN="+adminToken)) })
	}
	started.Wait()
	return urls
}

// Fifty editors change one object at once through five processes: each change is seen by all later ones.
func TestFiftyEditorsLoseNoUpdate(t *testing.T) {
	const editors = 50
	redis := redisServer(t)
	configure(t, redis, editedConfig, "PROVIDER_KEY="+provider, "KEY="+testKey)
	urls := admins(t, redis, 5)
	var done sync.WaitGroup
	for i := range editors {
		done.Go(func() {
			url := urls[i%len(urls)] + "/_/admin/v1/consumers/shared"
			for range 500 {
				seen := ask(t, http.MethodGet, url, []string{bearer(adminToken)}, "")
				var consumer struct{ Description string }
				if err := json.Unmarshal([]byte(seen.Body), &consumer); err != nil || seen.Status != http.StatusOK {
					t.Errorf("%d %s", seen.Status, seen.Body)
					return
				}
				change, _ := json.Marshal(map[string]string{"description": consumer.Description + fmt.Sprintf("<%d>", i)})
				a := ask(t, http.MethodPatch, url, []string{bearer(adminToken), "Content-Type: application/json",
					"If-Match: " + seen.Header.Get("ETag")}, string(change))
				switch a.Status {
				case http.StatusOK:
					return
				case http.StatusPreconditionFailed, http.StatusServiceUnavailable: // somebody was faster
				default:
					t.Errorf("%d %s", a.Status, a.Body)
					return
				}
			}
			t.Errorf("editor %d never got through", i)
		})
	}
	done.Wait()
	last := ask(t, http.MethodGet, urls[0]+"/_/admin/v1/consumers/shared", []string{bearer(adminToken)}, "").Body
	for i := range editors {
		if !strings.Contains(last, fmt.Sprintf(`\u003c%d\u003e`, i)) && !strings.Contains(last, fmt.Sprintf("<%d>", i)) {
			t.Errorf("the update of editor %d is lost", i)
		}
	}
}

// kills is how often the admin process dies: 200 times where somebody has the time.
func kills() int {
	if os.Getenv("KEYLESS_TEST_LONG") != "" {
		return 200
	}
	return 30
}

// An admin process that is killed at any moment leaves a registry in which every reference resolves, every secret opens, and the audit
// trail is whole.
func TestKilledAdminLeavesAWholeRegistry(t *testing.T) {
	redis := redisServer(t)
	configure(t, redis, editedConfig, "PROVIDER_KEY="+provider, "KEY="+testKey)
	env := deployment(redis, "KEYLESS_ADMIN_TOKEN="+adminToken)
	for round := range kills() {
		port := freePort(t)
		c := spawn(t, append(env, "PORT="+port), binary(t, "admin"))
		url := "http://127.0.0.1:" + port
		await(t, url+"/_/healthz")
		var editing sync.WaitGroup
		for i := range 4 {
			editing.Go(func() { editUntilGone(url, round*4+i) })
		}
		time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
		_ = c.cmd.Process.Signal(syscall.SIGKILL)
		<-c.done
		editing.Wait()
	}
	url := admins(t, redis, 1)[0]
	if a := ask(t, http.MethodGet, url+"/_/admin/v1/audit/verify", []string{bearer(adminToken)}, ""); a.Status != 200 ||
		strings.Contains(a.Body, `"broken"`) {
		t.Errorf("audit: %d %s", a.Status, a.Body)
	}
	if a := ask(t, http.MethodGet, url+"/_/admin/v1/health", []string{bearer(adminToken)}, ""); !strings.Contains(a.Body, `"secrets_open":true`) {
		t.Errorf("health: %s", a.Body)
	}
	name := filepath.Join(t.TempDir(), "export.yaml")
	if out, err := run(t, deployment(redis), "export", "-o", name); err != nil {
		t.Fatalf("export: %v\n%s", err, out)
	}
	// Every reference and every sealed secret is judged; what was half done is completed.
	if out, err := run(t, deployment(redis), "apply", "-f", name, "--prune"); err != nil {
		t.Fatalf("apply of the export: %v\n%s", err, out)
	}
	if out, err := run(t, deployment(redis), "diff", "-f", name); err != nil {
		t.Errorf("the registry differs from its own export: %v\n%s", err, out)
	}
}

// editUntilGone makes, changes and removes objects that refer to each other until the process does not answer.
func editUntilGone(url string, n int) {
	client := http.Client{Timeout: 5 * time.Second}
	send := func(method, path, body string) bool {
		r, err := http.NewRequest(method, url+"/_/admin/v1"+path, strings.NewReader(body))
		if err != nil {
			return false
		}
		r.Header.Set("Authorization", "Bearer "+adminToken)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("If-None-Match", "*")
		if method == http.MethodDelete {
			r.Header.Del("If-None-Match")
			r.Header.Set("If-Match", "*")
		}
		answer, err := client.Do(r)
		if err != nil {
			return false
		}
		answer.Body.Close()
		return true
	}
	for i := 0; ; i++ {
		name := fmt.Sprintf("c%d-%d", n, i)
		if !send(http.MethodPut, "/groups/g"+name, fmt.Sprintf(`{"name":"g%s"}`, name)) ||
			!send(http.MethodPut, "/consumers/"+name, fmt.Sprintf(`{"name":%q,"groups":["g%s"],"api_key":{},"authorizations":[{"api":"a"}]}`, name, name)) ||
			!send(http.MethodPost, "/consumers/"+name+"/api_keys", `{}`) ||
			i%2 == 0 && (!send(http.MethodDelete, "/consumers/"+name, "") || !send(http.MethodDelete, "/groups/g"+name, "")) {
			return
		}
	}
}
