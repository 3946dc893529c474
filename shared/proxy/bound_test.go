package proxy_test

import (
	"testing"

	"keyless/shared/quota"
	"keyless/shared/registry"
)

// What an upstream tells beyond what a call can have used does not carry a limit past its end; the ledger has it.
func TestAnUpstreamThatTellsTooMuchIsNotBelieved(t *testing.T) {
	t.Parallel()
	const lie = `{"id":"c","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],` +
		`"usage":{"prompt_tokens":5000000,"completion_tokens":7}}`
	upstream := record(t, answers(200, isJSON, lie))
	w := open(t, upstream.URL, llm(func(a *registry.API) { a.Limits = &registry.Limits{TokensPerDay: 1000} }, upstream.URL))
	equal(t, "status", w.chat(t, asked).StatusCode, 200)
	within(t, "the handler ends", w.ended)
	e := w.quota.only(t)
	equal(t, "counted", e.used, quota.Used{Tokens: w.quota.calls[0].Tokens})
	equal(t, "in the ledger", e.entry.Usage.Input, 5000000)
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
