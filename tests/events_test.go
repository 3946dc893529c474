package tests

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keyless/tests/emulator"
)

// Every event of events/ gets the reply that stands beside it, from the built function over the platform's runtime API.
func TestEventsGetTheirReplies(t *testing.T) {
	redis, u := redisServer(t), newUpstream(t)
	configureGateway(t, redis, u, 1000)
	env := deployment(redis)
	functions := map[string]*emulator.Function{
		"proxy":      emulator.Lambda(t, binary(t, "proxy"), env, emulator.Raw),
		"authorizer": emulator.Lambda(t, binary(t, "authorizer"), env, emulator.Raw),
		"fc":         emulator.FC(t, binary(t, "proxy"), env, emulator.FCEvent),
		"schedule":   emulator.Lambda(t, binary(t, "admin"), env, emulator.Raw),
		"timer":      emulator.FC(t, binary(t, "admin"), env, emulator.FCCustom), // as infra/fc/s.yaml deploys it
	}
	names, err := filepath.Glob("../events/*.reply.json")
	if err != nil || len(names) < 9 {
		t.Fatalf("%d events, %v", len(names), err)
	}
	for _, name := range names {
		base := strings.TrimSuffix(name, ".reply.json")
		t.Run(filepath.Base(base), func(t *testing.T) {
			function := "proxy"
			switch kind := filepath.Base(base); {
			case strings.HasPrefix(kind, "authorizer"):
				function = "authorizer"
			case kind == "schedule":
				function = "schedule"
			case kind == "fc-timer":
				function = "timer"
			case strings.HasPrefix(kind, "fc-"):
				function = "fc"
			}
			reply, fault := functions[function].Invoke(read(t, base+".json"))
			if err := matches(decoded(t, read(t, name)), shape(t, reply, fault)); err != nil {
				t.Errorf("%v\n%s %s", err, reply, fault)
			}
		})
	}
}

// shape brings a function's reply into the form of the reply files: headers by one value, the body decoded.
func shape(t *testing.T, reply []byte, fault string) any {
	t.Helper()
	if fault != "" {
		return map[string]any{"functionError": fault}
	}
	got := decoded(t, reply).(map[string]any)
	if many, ok := got["multiValueHeaders"].(map[string]any); ok {
		headers := map[string]any{}
		for name, values := range many {
			headers[name] = values.([]any)[0]
		}
		got["headers"] = headers
	}
	if body, ok := got["body"].(string); ok {
		got["body"] = decoded(t, []byte(body))
	}
	return got
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func decoded(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

// matches reports where got lacks what want has. "*" stands for any string that is not empty; header names match in any letter case.
func matches(want, got any) error {
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			return fmt.Errorf("want an object, got %v", got)
		}
		for name, value := range want {
			found, there := object[name]
			for other, candidate := range object {
				if !there && strings.EqualFold(other, name) {
					found, there = candidate, true
				}
			}
			if !there {
				return fmt.Errorf("%s is missing", name)
			}
			if err := matches(value, found); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	case string:
		if text, ok := got.(string); ok && (text == want || want == "*" && text != "") {
			return nil
		}
	default:
		if fmt.Sprint(want) == fmt.Sprint(got) {
			return nil
		}
	}
	return fmt.Errorf("want %v, got %v", want, got)
}
