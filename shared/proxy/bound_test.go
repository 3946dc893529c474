package proxy_test

import (
	"strings"
	"testing"

	"keyless/shared/quota"
	"keyless/shared/registry"
)

// TestH2AnUpstreamThatTellsMoreIsCharged: what an upstream uses beyond the bound of a call counts in full, so that the limit refuses from
// there on, and the operator is told. One that keeps to the bound is no news.
func TestH2AnUpstreamThatTellsMoreIsCharged(t *testing.T) {
	t.Parallel()
	const lie = `{"id":"c","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],` +
		`"usage":{"prompt_tokens":5000000,"completion_tokens":7}}`
	upstream := record(t, answers(200, isJSON, lie))
	w := open(t, upstream.URL, llm(func(a *registry.API) { a.Limits = &registry.Limits{TokensPerDay: 1000} }, upstream.URL))
	equal(t, "status", w.chat(t, asked).StatusCode, 200)
	within(t, "the handler ends", w.ended)
	e := w.quota.only(t)
	equal(t, "counted", e.used, quota.Used{Tokens: 5000007})
	equal(t, "in the ledger", e.entry.Usage.Input, 5000000)
	equal(t, "the line says so", strings.Contains(w.log.String(), "beyond_bound=true"), true)

	for _, limits := range []*registry.Limits{{TokensPerDay: 1000}, nil} {
		upstream = record(t, answers(200, isJSON, map[bool]string{true: lie, false: whole}[limits == nil]))
		w = open(t, upstream.URL, llm(func(a *registry.API) { a.Limits = limits }, upstream.URL))
		equal(t, "status", w.chat(t, asked).StatusCode, 200)
		within(t, "the handler ends", w.ended)
		equal(t, "nothing to say", strings.Contains(w.log.String(), "beyond_bound"), false)
	}
}

// A model whose price was forgotten is no free pass through a limit of money.
func TestAModelWithoutAPriceUnderALimitOfMoney(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		limits registry.Limits
		status int
	}{
		"refused":                          {registry.Limits{SpendPerMonth: "10"}, 403},
		"a limit that only reports":        {registry.Limits{SpendPerMonth: "10", Shadow: true}, 200},
		"a limit of tokens needs no price": {registry.Limits{TokensPerDay: 100000}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream := record(t, answers(200, isJSON, whole))
			w := open(t, upstream.URL, llm(func(a *registry.API) { a.Limits = &row.limits }, upstream.URL),
				with(map[string]any{"prices": []registry.Price{{Model: "other", Input: "2", Output: "10"}}}))
			answer := w.chat(t, asked)
			equal(t, "status", answer.StatusCode, row.status)
			equal(t, "sent", upstream.count(), map[int]int{200: 1, 403: 0}[row.status])
		})
	}
}
