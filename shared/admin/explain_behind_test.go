package admin_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"keyless/shared/admin"
	"keyless/shared/auth"
	"keyless/shared/registry"
)

func TestExplainTellsWhatTheProxyRefusesAsAStepOfItsOwn(t *testing.T) {
	t.Parallel()
	for code, c := range map[string]struct{ limit, step, remedy string }{
		"not_metered":          {"", "metering", "a path that is metered"},
		"model_unpriced":       {"", "price", "add a price for the model to prices"},
		"model_not_found":      {"", "model", "it has gpt-*, qwen-plus"},
		"bad_request":          {"", "request", "correct what the message names"},
		"body_too_large":       {"", "body", "raise body_max_bytes of API mapped"},
		"unsupported_encoding": {"", "body", "without Content-Encoding"},
		"not_supported":        {"", "method", "GET, HEAD, POST"},
		"upstream_circuit":     {"", "upstream", "look at upstream model"},
		"usage_limit":          {"tokens_per_day", "limit", "window of tokens_per_day ends, or write a smaller max_tokens"},
		"spend_limit":          {"spend_per_day", "limit", "raise the limit of money"},
		"consumer_limit":       {"calls_per_day", "admission", "window of calls_per_day ends, or raise it"},
		"upstream_broken":      {"", "proxy", "gateway's log"},
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			w := wider(t)
			d := auth.Decision{API: &registry.API{Name: "mapped"}, Consumer: &registry.Consumer{Name: "shop"}, Allowed: true,
				Trace: []auth.Step{{Name: "authorization", Fact: "consumer shop may call API mapped"}}}
			record := d.Record(now, http.StatusTeapot, code, "A message")
			record.Limit = c.limit
			if err := d.Keep(context.Background(), w.trail, "req-1", record); err != nil {
				t.Fatal(err)
			}
			e := w.explain(t, admin.Question{RequestID: "req-1"})
			last := e.Steps[len(e.Steps)-1]
			if last.Step != c.step || !last.Decides || !strings.Contains(e.Remedy, c.remedy) {
				t.Errorf("got %+v", e)
			}
			if at := slices.IndexFunc(e.Steps, func(s admin.Step) bool { return s.Step == "authorization" }); e.Steps[at].Decides {
				t.Error("the gate allowed, and its step decides")
			}
		})
	}
}

// wider is a world with APIs for what the proxy judges.
func wider(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	const more = `{"version": 1, "currency": "USD",
	 "upstreams": [{"name": "model", "protocol": "openai", "base_url": "https://model.example/v1", "api_keys": ["sk-MARKER-provider-key"]},
	   {"name": "tools", "protocol": "mcp", "base_url": "https://tools.example/mcp"}],
	 "apis": [{"name": "mapped", "type": "llm", "base_path": "/mapped", "authentication": "disabled", "concurrency": 4,
	    "upstreams": [{"upstream": "model", "models": {"qwen-plus": "qwen-max", "gpt-*": "*"}}],
	    "limits": {"calls_per_minute": 60, "tokens_per_day": 5000, "spend_per_month": "12.5", "rate": {"per_second": 5, "burst": 10},
	      "models": {"gpt-*": {"tokens_per_hour": 70, "shadow": true}}}},
	  {"name": "tools", "type": "mcp", "base_path": "/tools", "authentication": "disabled", "upstreams": [{"upstream": "tools"}]}]}`
	var c registry.Config
	if err := json.Unmarshal([]byte(more), &c); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Apply(context.Background(), w.Options, &c, false, false); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestExplainSaysHowFarAllowedReaches(t *testing.T) {
	t.Parallel()
	const fact = "not judged here: body, model map, price and metering are the proxy's"
	for name, c := range map[string]struct {
		question admin.Question
		message  string
		step     bool
	}{
		"a model's":          {get("/mapped/chat/completions"), "may still refuse", true},
		"a server of tools":  {get("/tools"), "may still refuse", true},
		"any other":          {get("/open"), "lets this request pass", false},
		"an authorizer-only": {signed("/asked", "signer-ak", now), "the proxy answers 404 for it", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := wider(t).explain(t, c.question)
			if e.Outcome != admin.OutcomeAllowed || !strings.Contains(e.Message, c.message) ||
				slices.Contains(e.Steps, admin.Step{Step: "proxy", Fact: fact}) != c.step {
				t.Errorf("got %+v", e)
			}
			if last := e.Steps[len(e.Steps)-1]; last.Step != "admission" {
				t.Errorf("the last step is %+v", last)
			}
		})
	}
}

func TestExplainListsEveryKindOfLimit(t *testing.T) {
	t.Parallel()
	e := wider(t).explain(t, get("/mapped/chat/completions"))
	const want = "API mapped (4 calls at once, 60 calls a minute, 5000 tokens a day, money 12.5 a month, " +
		"5 calls a second with bursts of 10, model gpt-* (70 tokens a hour, in shadow: told and never refused))"
	if last := e.Steps[len(e.Steps)-1]; !strings.Contains(last.Fact, want) {
		t.Errorf("got %q", last.Fact)
	}
}

func TestHealthExplainsAStoreThatTellsNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		probe admin.Probe
		note  bool
	}{
		"the embedded one":          {nil, true}, // the world's, of miniredis
		"one that tells its policy": {facts{admin.ServerFacts{Eviction: "noeviction"}, nil}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAcme(t)
			if c.probe != nil {
				a.Probe = c.probe
			}
			a.handler = admin.New(a.Options)
			got := a.must(200, a.call("GET", "/health", ""))
			if got.str("status") != "ok" || strings.Contains(got.text, "tells nothing of itself") != c.note {
				t.Errorf("got %s", got.text)
			}
		})
	}
}
