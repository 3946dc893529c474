package file_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	_ "time/tzdata"

	"keyless/shared/registry"
	"keyless/shared/registry/file"
)

// environment is what the files of testdata ask for.
var environment = map[string]string{
	"KEYLESS_PUBLIC_URL":    "http://127.0.0.1:8080",
	"NIGHTLY_REPORT_SECRET": "a-secret-of-the-night",
	"DASHSCOPE_API_KEY":     "sk-dashscope",
	"ANTHROPIC_API_KEY":     "sk-anthropic",
	"PARTNER_JWK":           `{"kty":"oct","alg":"HS256","k":"` + strings.Repeat("A", 43) + `"}`,
	"PARTNER_API_KEY":       "a-partner's-api-key",
	"PARTNER_HMAC_SECRET":   "a-partner's-hmac-secret",
	"BYO_DASHSCOPE_KEY":     "sk-byo",
	"EMPTY":                 "",
	"BRACES":                "${DASHSCOPE_API_KEY}",
}

func lookup(name string) (string, bool) {
	value, ok := environment[name]
	return value, ok
}

func read(t testing.TB, path string) (*registry.Config, file.Positions) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	config, positions, err := file.Read("gateway.yaml", text, lookup)
	if err != nil {
		t.Fatal(err)
	}
	return config, positions
}

// example is the one that users are given.
const example = "../../../infra/gateway.example.yaml"

// The example has every key of the file, and no fault.
func TestExample(t *testing.T) {
	t.Parallel()
	config, positions := read(t, example)
	if faults := registry.Validate(config); len(faults) > 0 {
		t.Fatal(positions.Explain(faults))
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	text := `version: 1
instances: [{id: a, description: "pay $${X} or ${BRACES}${BRACES}", privacy_agreement: accepted}]
domains: [{name: default, daily_call_limit: 0}]
apis: [{name: n, type: http, base_path: /, authentication: disabled}]
consumers:
  - name: one
    api_key: {source: {header: x-key}, keys: [{id: k, value: "5"}]}
  - {name: two, api_key: {source: bearer}, jwt: {audience: x, skew: 0s, prefix: ""}}
`
	config, _, err := file.Read("f", []byte(text), lookup)
	if err != nil {
		t.Fatal(err)
	}
	const key = "${DASHSCOPE_API_KEY}" // a value is not read again
	if got := config.Instances[0].Description; got != "pay ${X} or "+key+key {
		t.Errorf("description %q", got)
	}
	if limit := config.Domains[0].DailyCallLimit; limit == nil || *limit != 0 {
		t.Errorf("limit %v", limit)
	}
	if !config.APIs[0].Open() {
		t.Error("authentication: disabled is not read")
	}
	one, two := config.Consumers[0].APIKey, config.Consumers[1]
	if one.Source.Header != "x-key" || one.Keys[0].Value.Reveal() != "5" || two.APIKey.Source.Header != "" {
		t.Errorf("sources %v %v", one, two.APIKey)
	}
	if j := two.JWT; len(j.Audience) != 1 || j.Skew == nil || *j.Skew != 0 || *j.Prefix != "" {
		t.Errorf("jwt %+v", j)
	}
}

func TestManyFaultsAreCut(t *testing.T) {
	t.Parallel()
	text := "version: 1\ngroups:\n" + strings.Repeat("  - {nam: x}\n", 60)
	_, _, err := file.Read("f", []byte(text), lookup)
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 51 || lines[50] != "and 70 more" {
		t.Fatalf("%d lines, the last %q", len(lines), lines[len(lines)-1])
	}
}

func TestExplainPassesOtherErrors(t *testing.T) {
	t.Parallel()
	_, positions := read(t, example)
	if other := errors.New("other"); !errors.Is(positions.Explain(other), other) {
		t.Fatal("another error is lost")
	}
}

// FuzzConfigYAML looks for a text that panics, and for a Config that does.
func FuzzConfigYAML(f *testing.F) {
	text, err := os.ReadFile(example)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	for _, row := range faulty {
		f.Add([]byte(row.text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		config, positions, err := file.Read("f", text, lookup)
		if (config == nil) == (err == nil) {
			t.Fatalf("config %v, error %v", config, err)
		}
		if err == nil {
			_ = positions.Explain(registry.Validate(config))
		}
	})
}
