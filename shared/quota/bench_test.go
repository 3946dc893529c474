package quota_test

import (
	"fmt"
	"testing"
	"time"

	"keyless/shared/ledger"
	"keyless/shared/quota"
	"keyless/shared/registry/storetest"
)

// BenchmarkAdmit compares an admission under four subjects with the floor: one bare script call on the
// same server.
func BenchmarkAdmit(b *testing.B) {
	w := newWorld(b, storetest.Redis(b), time.Now)
	b.Run("floor", func(b *testing.B) {
		sha, err := w.client.ScriptLoad(b.Context(), "return redis.call('INCR', KEYS[1])").Result()
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if err := w.client.EvalSha(b.Context(), sha, []string{"floor"}).Err(); err != nil {
				b.Fatal(err)
			}
		}
	})
	n := 0
	b.Run("open API, domain limit", func(b *testing.B) {
		for b.Loop() {
			n++
			c := bare(w.call(fmt.Sprint("r", n)))
			daily := int64(1 << 40)
			c.Domain.DailyCallLimit = &daily
			w.admit(b, c)
		}
	})
	b.Run("four subjects", func(b *testing.B) {
		for b.Loop() {
			n++
			c := w.call(fmt.Sprint("r", n))
			daily := int64(1 << 40)
			c.Domain.DailyCallLimit = &daily
			c.API.Limits.CallsPerMonth, c.Consumer.Limits.CallsPerDay = 1<<40, 1<<40
			c.Groups[0].Limits.CallsPerHour = 1 << 40
			w.admit(b, c)
		}
	})
	b.Run("metered, admitted and settled with an entry", func(b *testing.B) {
		for b.Loop() {
			n++
			c := w.metered(fmt.Sprint("r", n), 100, 10)
			c.API.Limits.TokensPerDay, c.Consumer.Limits.TokensPerMonth = 1<<40, 1<<40
			c.Consumer.Limits.SpendPerMonth, c.API.Concurrency = "1000000", 1000
			entry := &ledger.Entry{API: "a", Consumer: consumerName, Model: "m", Upstream: "u", Status: 200,
				Usage: ledger.Usage{Input: 40, Output: 20}, Cost: 7, Latency: 900, FirstToken: 80}
			if err := w.Settle(b.Context(), w.admit(b, c), quota.Used{Tokens: 60, Spend: 7}, entry); err != nil {
				b.Fatal(err)
			}
		}
	})
}
