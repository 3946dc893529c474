package quota_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"keyless/shared/ledger"
	"keyless/shared/quota"
	"keyless/shared/registry"
	"keyless/shared/registry/storetest"
)

// budget is the world of the property tests: one consumer with limits of everything.
const (
	budgetTokens = 22_000
	budgetSpend  = 600_000
	budgetCalls  = 300
	budgetGroup  = 21_500
	budgetModel  = 21_000
)

var budgetKeys = []string{
	"kg:{c:c1}:n:calls_per_month", "kg:{c:c1}:n:tokens_per_month", "kg:{c:c1}:n:spend_per_month",
	"kg:{g:g}:n:tokens_per_month", "kg:{g:g}:n:model/m%2A/tokens_per_month",
}

func (w *world) budgeted(id string, tokens, spend int64) quota.Call {
	c := bare(w.call(id))
	c.Tokens, c.Spend, c.Model = tokens, spend, "m-1"
	c.API = &registry.API{Name: "a", Concurrency: 1 << 20}
	c.Groups = []*registry.Group{{Name: "g", Limits: &registry.Limits{TokensPerMonth: budgetGroup,
		Models: map[string]registry.Limits{"m*": {TokensPerMonth: budgetModel}}}}}
	c.Consumer = &registry.Consumer{Name: consumerName, Version: w.version, Limits: &registry.Limits{
		TokensPerMonth: budgetTokens, SpendPerMonth: "0.6", CallsPerMonth: budgetCalls}}
	return c
}

// stays is what a call's part in the counters is in the end.
type stays struct{ calls, tokens, spend int64 }

func (s *stays) add(o stays) {
	s.calls, s.tokens, s.spend = s.calls+o.calls, s.tokens+o.tokens, s.spend+o.spend
}

// worker does one call after another as an unlucky process does: replies are lost, admissions and settlements
// are sent twice, calls are given up, processes die.
type worker struct {
	*world
	proxy *storetest.Proxy
	dice  *rand.Rand
	name  string
}

func (w *worker) lose() {
	if w.dice.IntN(4) == 0 {
		w.proxy.LoseReplies(1)
	}
}

func (w *worker) call(n int) (stays, error) {
	tokens, spend := w.dice.Int64N(900), w.dice.Int64N(20_000)
	c := w.budgeted(fmt.Sprint(w.name, "-", n), tokens, spend)
	ctx := context.Background()
	held := stays{1, tokens, spend}
	var a quota.Admission
	var err error
	for range 1 + w.dice.IntN(2) {
		w.lose()
		if a, err = w.Admit(ctx, c); err != nil {
			return held, fmt.Errorf("admit: %w", err)
		}
	}
	if !a.Admitted {
		return stays{}, nil
	}
	fate := w.dice.IntN(10)
	if fate == 0 { // kill -9
		return held, nil
	}
	if fate < 3 { // no byte reached an upstream
		for range 1 + w.dice.IntN(2) {
			w.lose()
			if err := w.GiveBack(ctx, a); err != nil {
				return held, fmt.Errorf("give back: %w", err)
			}
		}
		return stays{}, nil
	}
	used := quota.Used{Tokens: w.dice.Int64N(tokens + 1), Spend: w.dice.Int64N(spend + 1)}
	entry := &ledger.Entry{RequestID: c.RequestID, At: time.Now(), API: "a", Consumer: consumerName, Status: 200,
		Usage: ledger.Usage{Output: used.Tokens}, Cost: used.Spend}
	for range 1 + w.dice.IntN(2) {
		w.lose()
		if err := w.Settle(ctx, a, used, entry); err != nil {
			return held, fmt.Errorf("settle: %w", err)
		}
	}
	return stays{1, used.Tokens, used.Spend}, nil
}

// Whatever the workers do: no sample finds a limit exceeded, in the end the counters are what the calls add up
// to, no slot is taken but by the dead, and the ledger has the settled calls, each once.
func TestNeverExceededAndTheSumIsRight(t *testing.T) {
	eachServer(t, func(t *testing.T, address string) {
		w := newWorld(t, address, time.Now)
		ended := make(chan struct{})
		var sampling sync.WaitGroup
		sampling.Go(func() { sample(t, connect(t, address), ended) })
		var working sync.WaitGroup
		var mu sync.Mutex // guards both below
		var all, unsure stays
		for n := range 4 {
			proxy := storetest.NewProxy(t, address)
			process := &worker{proxy: proxy, dice: rand.New(rand.NewPCG(7, uint64(n))), name: fmt.Sprint("w", n)}
			process.world = &world{Quota: quota.NewRedis(connect(t, proxy.Address()), "kg", time.Now),
				revision: w.revision, version: w.version}
			working.Go(func() {
				for i := range 40 {
					one, err := process.call(i)
					mu.Lock()
					if err != nil { // a machine too slow for our deadlines: anything up to what was held may count
						t.Log(err)
						unsure.add(one)
					} else {
						all.add(one)
					}
					mu.Unlock()
				}
			})
		}
		working.Wait()
		close(ended)
		sampling.Wait()
		got := w.counts(t)
		for i, want := range []int64{all.calls, all.tokens, all.spend, all.tokens, all.tokens} {
			more := []int64{unsure.calls, unsure.tokens, unsure.spend, unsure.tokens, unsure.tokens}[i]
			if n := got[budgetKeys[i]]; n < want || n > want+more {
				t.Errorf("%s is %d, the calls add up to %d, and %d unsure", budgetKeys[i], n, want, more)
			}
		}
		taken := w.client.ZCard(t.Context(), "kg:{a:a}:s").Val()
		today := time.Now().UTC()
		rows, err := ledger.New(w.client, "kg", time.Now).Report(t.Context(), ledger.Question{
			From: today.AddDate(0, 0, -1).Format("2006-01-02"), To: today.Format("2006-01-02")})
		if err != nil || len(rows) != 1 {
			t.Fatalf("ledger %+v, %v", rows, err)
		}
		settled := rows[0].Calls
		if n := settled + taken; n < all.calls || n > all.calls+2*unsure.calls || settled == 0 || taken == 0 {
			t.Errorf("%d calls, %d unsure: %d in the ledger, %d slots taken", all.calls, unsure.calls, settled, taken)
		}
		t.Logf("in the end %+v, unsure %+v, %d settled, %d crashed", all, unsure, settled, taken)
	})
}

// sample looks at the counters all the time.
func sample(t *testing.T, client redis.UniversalClient, ended chan struct{}) {
	limits := []int64{budgetCalls, budgetTokens, budgetSpend, budgetGroup, budgetModel}
	month := time.Now().UTC().AddDate(0, 0, 1-time.Now().UTC().Day()).Truncate(24 * time.Hour).Unix()
	keys := make([]string, len(budgetKeys))
	for i, key := range budgetKeys {
		keys[i] = fmt.Sprint(key, ":", month)
	}
	for samples := 0; ; samples++ {
		counts, err := client.MGet(context.Background(), keys...).Result()
		if err == nil {
			for i, count := range counts {
				text, _ := count.(string)
				if n, _ := strconv.ParseInt(text, 10, 64); n < 0 || n > limits[i] {
					t.Errorf("%s is %d of %d", keys[i], n, limits[i])
				}
			}
		}
		select {
		case <-ended:
			if samples < 10 {
				t.Errorf("%d samples", samples)
			}
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// One caller, any sequence: the verdict is always the model's.
func FuzzSequence(f *testing.F) {
	f.Add([]byte{0x10, 0x21, 0x32, 0x43, 0x54, 0x65, 0x76, 0x87, 0x98, 0xa9, 0xba, 0xcb, 0xdc, 0xed, 0xfe, 0x0f})
	f.Add([]byte{0xff, 0xff, 0xff, 0x00, 0x00, 0x01, 0x02, 0xff, 0x03, 0xff, 0x80, 0x81, 0x82, 0x83})
	f.Add([]byte{0, 4, 1, 0, 2, 1, 0, 4, 8, 12, 16, 20, 3, 7, 11, 15, 19})
	server := miniredis.NewMiniRedis()
	if err := server.Start(); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(server.Close)
	var w *world
	f.Fuzz(func(t *testing.T, steps []byte) {
		if w == nil {
			server.SetTime(moment(t, "2026-11-25T12:00:00Z"))
		}
		server.FlushAll()
		w = newWorld(t, server.Addr(), func() time.Time { return moment(t, "2026-11-25T12:00:00Z") })
		const limit = 500
		type part struct {
			a           quota.Admission
			held, count int64
			open        bool
		}
		var parts []*part
		total := int64(0)
		for i, step := range steps[:min(len(steps), 64)] {
			size := int64(step>>2) * 9
			var last *part
			if len(parts) > 0 {
				last = parts[int(step>>2)%len(parts)]
			}
			switch {
			case step&3 == 0 || last == nil:
				c := bare(w.call(fmt.Sprint("r", i)))
				c.API.Limits, c.Tokens = &registry.Limits{TokensPerDay: limit}, size
				a := w.admit(t, c)
				if fits := total+max(size, 1) <= limit; a.Admitted != fits {
					t.Fatalf("step %d: %d of %d held and used, %d more: %+v", i, total, limit, size, a)
				}
				if a.Admitted {
					parts, total = append(parts, &part{a, size, size, true}), total+size
				}
			case step&3 == 1:
				w.giveBack(t, last.a)
				if last.open {
					total, last.open = total-last.count, false
				}
			case step&3 == 2:
				w.settle(t, last.a, size, 0)
				if last.open {
					total, last.open = total-last.count+size, false
				}
			default: // a crash: nothing
			}
			if got := w.counts(t)["kg:{a:a}:n:tokens_per_day"]; got != total {
				t.Fatalf("step %d: counted %d, want %d", i, got, total)
			}
		}
	})
}
