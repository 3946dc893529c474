package quota_test

import (
	"maps"
	"net/http"
	"testing"
	"time"

	"keyless/shared/quota"
)

func TestSetHeaders(t *testing.T) {
	t.Parallel()
	daily := quota.Standing{Name: "domain-day", Limit: 1000, Remaining: 417, Reset: 30611*time.Second + 1}
	full := quota.Standing{Name: "group-batch-minute", Limit: 60, Reset: 12 * time.Second}
	refused := func(wait time.Duration) quota.Admission {
		return quota.Admission{
			Refusal:   &quota.Refusal{Subject: "GROUP", Limit: "calls_per_minute", RetryAfter: wait},
			Standings: []quota.Standing{full},
		}
	}
	standing := map[string]string{
		"Ratelimit-Policy": `"group-batch-minute";q=60`, "Ratelimit": `"group-batch-minute";r=0;t=12`,
	}
	with := func(more map[string]string) map[string]string {
		all := maps.Clone(standing)
		maps.Copy(all, more)
		return all
	}
	tests := map[string]struct {
		admission quota.Admission
		want      map[string]string
	}{
		"no limit":  {quota.Admission{Admitted: true}, map[string]string{}},
		"stale":     {quota.Admission{Stale: true}, map[string]string{}},
		"one limit": {quota.Admission{Admitted: true, Standings: []quota.Standing{full}}, standing},
		"several": {quota.Admission{Admitted: true, Standings: []quota.Standing{daily, full}}, map[string]string{
			"Ratelimit-Policy": `"domain-day";q=1000, "group-batch-minute";q=60`,
			"Ratelimit":        `"domain-day";r=417;t=30612, "group-batch-minute";r=0;t=12`,
		}},
		"refused for 12 s":       {refused(12 * time.Second), with(map[string]string{"Retry-After": "12"})},
		"refused for 11.1 s":     {refused(11100 * time.Millisecond), with(map[string]string{"Retry-After": "12"})},
		"refused for an instant": {refused(time.Nanosecond), with(map[string]string{"Retry-After": "1"})},
		"refused for nothing":    {refused(0), with(map[string]string{"Retry-After": "1"})},
		"refused for a minute":   {refused(time.Minute), with(map[string]string{"Retry-After": "60"})},
		"model tokens stand beside calls": {quota.Admission{Standings: []quota.Standing{full,
			{Name: "consumer-day-tokens", Kind: quota.Tokens, Limit: 5000, Remaining: 12, Reset: time.Minute},
		}}, map[string]string{
			"Ratelimit-Policy": `"group-batch-minute";q=60, "consumer-day-tokens";q=5000`,
			"Ratelimit":        `"group-batch-minute";r=0;t=12, "consumer-day-tokens";r=12;t=60`,
		}},
		"money, a rate, slots and shadows are not told": {quota.Admission{Standings: []quota.Standing{
			{Name: "consumer-day-spend", Kind: quota.Spend, Limit: 1}, {Name: "api-rate", Kind: quota.Rate, Limit: 1},
			{Name: "api-concurrency", Kind: quota.Concurrency, Limit: 1},
			{Name: "api-day", Kind: quota.Calls, Limit: 1, Shadow: true},
		}}, map[string]string{}},
		"a call that never fits": {quota.Admission{Refusal: &quota.Refusal{RetryAfter: time.Second, TooLarge: true}},
			map[string]string{"Retry-After": "1", "X-Should-Retry": "false"}},
		"refused for longer": {refused(time.Minute + time.Nanosecond),
			with(map[string]string{"Retry-After": "61", "X-Should-Retry": "false"})},
	}
	for name, test := range tests {
		header := http.Header{}
		test.admission.SetHeaders(header)
		got := map[string]string{}
		for field := range header {
			got[field] = header.Get(field)
		}
		if !maps.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
