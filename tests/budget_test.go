package tests

import (
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const budgetConfig = `
version: 1
domains: [{name: default, daily_call_limit: 0}]
upstreams: [{name: model, protocol: openai, base_url: "${UPSTREAM}/v1", api_keys: ["${PROVIDER_KEY}"]}]
apis: [{name: models, type: llm, base_path: /v1, strip_base_path: true, on_client_gone: drain, upstreams: [{upstream: model}]}]
consumers:
  - name: worker
    api_key: {keys: [{id: k1, value: "${KEY}"}]}
    authorizations: [{api: models}]
    limits: {tokens_per_day: 200000}
prices: [{input: "1", output: "2"}]
`

// books reads what the gateway has written of the consumer worker at one moment: the counter of the day, the ledger, and what calls hold
// that were never settled.
type books struct {
	Counter int64
	Entries []struct {
		RequestID string `json:"request_id"`
		End       string
		Estimated bool
		Cost      int64
		Usage     struct{ Input, Output int64 }
	}
	Held map[string]int64 // by request id
}

const readBooks = `local counter, entries, held = 0, {}, {}
for _, key in ipairs(redis.call('KEYS', 'kg:{c:worker}:n:tokens_per_day:*')) do counter = counter + redis.call('GET', key) end
for _, key in ipairs(redis.call('KEYS', 'kg:{c:worker}:l:*')) do
  for _, line in ipairs(redis.call('XRANGE', key, '-', '+')) do entries[#entries + 1] = line[2][2] end
end
for _, key in ipairs(redis.call('KEYS', 'kg:{c:worker}:r:*')) do held[#held + 1] = key .. ' ' .. redis.call('GET', key) end
return cjson.encode({counter = string.format('%.0f', counter), entries = entries, held = held})`

func openBooks(t *testing.T, redis string) books {
	t.Helper()
	text, err := evaluate(redis, readBooks)
	if err != nil {
		t.Fatal(err)
	}
	var raw struct {
		Counter string
		Entries json.RawMessage // an empty table is {}
		Held    json.RawMessage
	}
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		t.Fatal(err)
	}
	b := books{Held: map[string]int64{}}
	b.Counter, _ = strconv.ParseInt(raw.Counter, 10, 64)
	var lines, held []string
	_ = json.Unmarshal(raw.Entries, &lines)
	_ = json.Unmarshal(raw.Held, &held)
	for _, line := range lines {
		b.Entries = append(b.Entries, struct {
			RequestID string `json:"request_id"`
			End       string
			Estimated bool
			Cost      int64
			Usage     struct{ Input, Output int64 }
		}{})
		if err := json.Unmarshal([]byte(line), &b.Entries[len(b.Entries)-1]); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range held {
		key, record, _ := strings.Cut(line, " ")
		for _, part := range strings.Split(record, " ") {
			if rest, is := strings.CutPrefix(part, "tokens_per_day:"); is {
				_, amount, _ := strings.Cut(rest, ":")
				n, _ := strconv.ParseInt(amount, 10, 64)
				b.Held[key[strings.LastIndexByte(key, ':')+1:]] = n
			}
		}
	}
	return b
}

// A budget of 200,000 model tokens under 40 workers and five processes with aborts, crashes, duplicates, lies and failures: at no sample
// is it exceeded, and in the end three independent books agree - the counter of the limit, the ledger, and the model's own.
func TestABudgetIsNeverExceededAndTheBooksAgree(t *testing.T) {
	const budget, workers, processes = 200_000, 40, 5
	redis, m := redisServer(t), newModel(t)
	configure(t, redis, budgetConfig, "UPSTREAM="+m.URL, "PROVIDER_KEY="+provider, "KEY="+testKey)
	env := deployment(redis)
	var urls [processes]atomic.Pointer[string]
	var children [processes]atomic.Pointer[child]
	begin := func(i int) {
		port := freePort(t)
		c := spawn(t, append(env, "PORT="+port), binary(t, "proxy"))
		url := "http://127.0.0.1:" + port
		await(t, url+"/_/healthz")
		children[i].Store(c)
		urls[i].Store(&url)
	}
	for i := range processes {
		begin(i)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var group sync.WaitGroup
	var refused, answered, highest atomic.Int64
	done := make(chan struct{})
	group.Go(func() { // the sampler
		for {
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
				if b := openBooks(t, redis); b.Counter > highest.Load() {
					highest.Store(b.Counter)
				}
			}
		}
	})
	group.Go(func() { // the killer: each process dies twice
		for round := range 2 {
			for i := range processes {
				select {
				case <-done:
					return
				case <-time.After(150 * time.Millisecond):
				}
				_ = children[i].Load().cmd.Process.Signal(syscall.SIGKILL)
				<-children[i].Load().done
				begin(i)
			}
			_ = round
		}
	})
	modes := []string{"plain", "plain", "stream", "stream", "slow", "abort", "cut", "lie", "silent", "fail"}
	var calls sync.WaitGroup
	for worker := range workers {
		calls.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 1))
			for n := 0; refused.Load() < 3*workers && ctx.Err() == nil; n++ {
				how := modes[random.IntN(len(modes))]
				status := budgetCall(ctx, *urls[(worker+n)%processes].Load(), how, 5+random.IntN(200), 5+random.IntN(60))
				switch status {
				case http.StatusTooManyRequests:
					refused.Add(1)
				case http.StatusOK:
					answered.Add(1)
				}
			}
		})
	}
	calls.Wait()
	close(done)
	group.Wait()
	for i := range processes { // what is being drained is settled before a process ends
		children[i].Load().stop(t)
	}
	b := openBooks(t, redis)
	if highest.Load() > budget || b.Counter > budget {
		t.Errorf("the budget of %d was exceeded: %d at a sample, %d in the end", budget, highest.Load(), b.Counter)
	}
	if refused.Load() < workers || answered.Load() < 100 {
		t.Errorf("%d calls were answered and %d refused; the test wants more of both", answered.Load(), refused.Load())
	}
	settled, written := b.reconcile(t, m)
	held := int64(0)
	for id, amount := range b.Held {
		if written[id] {
			t.Errorf("%s is settled and holds %d still", id, amount)
		}
		held += amount
	}
	if settled+held != b.Counter {
		t.Errorf("the counter is %d; the ledger has %d, and what was never settled holds %d", b.Counter, settled, held)
	}
	t.Logf("%d answered, %d refused, %d entries of %d tokens, %d never settled hold %d, counter %d, highest sample %d",
		answered.Load(), refused.Load(), len(b.Entries), settled, len(b.Held), held, b.Counter, highest.Load())
}

// reconcile compares each entry of the ledger with what the model told for the call, and sums up what the limit counts.
func (b books) reconcile(t *testing.T, m *model) (int64, map[string]bool) {
	t.Helper()
	total, written := int64(0), map[string]bool{}
	for _, e := range b.Entries {
		if written[e.RequestID] {
			t.Errorf("%s is written twice", e.RequestID)
		}
		written[e.RequestID] = true
		tokens := e.Usage.Input + e.Usage.Output
		told, complete := m.told(e.RequestID)
		switch {
		case complete && !e.Estimated && tokens != told:
			t.Errorf("%s: the ledger has %d, the model told %d", e.RequestID, tokens, told)
		case e.Cost != e.Usage.Input+2*e.Usage.Output:
			t.Errorf("%s costs %d for %+v", e.RequestID, e.Cost, e.Usage)
		}
		total += tokens
	}
	return total, written
}

const budgetBound = `,"max_tokens":100`

func budgetCall(ctx context.Context, base, how string, prompt, completion int) int {
	abort := how == "abort"
	if abort {
		how = "slow"
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/chat/completions",
		strings.NewReader(chatBody(how, prompt, completion, budgetBound)))
	if err != nil {
		return 0
	}
	r.Header.Set("Authorization", "Bearer "+testKey)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	if abort {
		_, _ = io.ReadFull(answer.Body, make([]byte, 64))
		cancel()
		return answer.StatusCode
	}
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return 0
	}
	return answer.StatusCode
}
