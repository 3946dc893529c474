package tests

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const memoryConfig = `version: 1
domains: [{name: default, daily_call_limit: 0}]
upstreams: [{name: model, protocol: openai, base_url: "${UPSTREAM}/v1", api_keys: ["${PROVIDER_KEY}"]}]
apis: [{name: models, type: llm, base_path: /v1, strip_base_path: true, upstreams: [{upstream: model}]}]
consumers: [{name: worker, api_key: {keys: [{id: k1, value: "${KEY}"}]}, authorizations: [{api: models}], limits: {tokens_per_day: 2000000000}}]
`

// held is the memory that a process holds for itself now, in bytes: what the system may drop, as the pages of its program, does not count.
func held(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, is := strings.CutPrefix(line, "RssAnon:"); is {
			kib, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10
		}
	}
	return 0
}

// A thousand streams at once, and prompts of 10 MB, in less than 100 MB of one process.
func TestAThousandStreamsAndLargePromptsInLittleMemory(t *testing.T) {
	const streams, most = 1000, 100 << 20
	redis, m := redisServer(t), newModel(t)
	configure(t, redis, memoryConfig, "UPSTREAM="+m.URL, "PROVIDER_KEY="+provider, "KEY="+testKey)
	port := freePort(t)
	c := spawn(t, append(deployment(redis), "PORT="+port, "KEYLESS_LOG=json,error"), binary(t, "proxy"))
	base := "http://127.0.0.1:" + port
	await(t, base+"/_/healthz")
	client := http.Client{Transport: &http.Transport{MaxConnsPerHost: streams}}
	call := func(body string) (int, string, error) {
		r, err := http.NewRequest(http.MethodPost, base+"/v1/chat/completions", strings.NewReader(body))
		if err != nil {
			return 0, "", err
		}
		r.Header.Set("Authorization", "Bearer "+testKey)
		r.Header.Set("Content-Type", "application/json")
		answer, err := client.Do(r)
		if err != nil {
			return 0, "", err
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		return answer.StatusCode, string(text), err
	}
	var highest atomic.Int64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				highest.Store(max(highest.Load(), held(c.cmd.Process.Pid)))
			}
		}
	}()
	prompt := fmt.Sprintf(`{"model":"m","max_tokens":10,"messages":[{"role":"user","content":"%s"},{"role":"user","content":"plain 3 4"}]}`,
		strings.Repeat("word ", 10<<20/5))
	for range 3 {
		if status, text, err := call(prompt); status != http.StatusOK || err != nil {
			t.Errorf("a prompt of %d bytes: %d %.200s %v", len(prompt), status, text, err)
		}
	}
	t.Logf("prompts of 10 MB: %d MB", highest.Load()>>20)
	var done sync.WaitGroup
	for range streams {
		time.Sleep(2 * time.Millisecond) // all run at once in the end; they need not begin in one instant
		done.Go(func() {
			status, text, err := call(chatBody("linger", 10, 8, ""))
			if err != nil || status != http.StatusOK || !strings.HasSuffix(text, "data: [DONE]\n\n") {
				t.Errorf("%d %v …%s", status, err, text[max(0, len(text)-200):])
			}
		})
	}
	done.Wait()
	close(stop)
	<-stopped
	t.Logf("then %d streams at once: %d MB", streams, highest.Load()>>20)
	if highest.Load() == 0 {
		if os.Getenv("KEYLESS_TEST_ALL") != "" {
			t.Fatal("this system has no /proc that tells, and KEYLESS_TEST_ALL wants every test run")
		}
		t.Skip("NOT RUN: this system has no /proc that tells")
	}
	if highest.Load() > most {
		t.Errorf("it took %d MB", highest.Load()>>20)
	}
}
