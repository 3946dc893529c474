package config_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"keyless/shared/config"
)

func TestSecretNeverPrints(t *testing.T) {
	t.Parallel()
	const canary = "canary-7f3a"
	secret := config.Secret(canary)
	c := config.Config{RedisURL: secret, MasterKey: secret, SigningMasterKey: secret, AdminToken: secret}
	values := map[string]any{
		"the secret": secret, "a pointer": &secret, "a list": []config.Secret{secret},
		"a map": map[string]config.Secret{"k": secret}, "the configuration": c, "its pointer": &c,
		"an error": fmt.Errorf("x: %w", fmt.Errorf("%v", secret)),
	}
	hidden := []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), fmt.Sprint([]byte(canary))}
	for name, value := range values {
		var printed bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10.3s"} {
			fmt.Fprintf(&printed, verb+"\n", value)
		}
		encoded, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		printed.Write(encoded)
		slog.New(slog.NewJSONHandler(&printed, nil)).Info("m", "v", value)
		slog.New(slog.NewTextHandler(&printed, nil)).Info("m", "v", value)
		for _, form := range hidden {
			if strings.Contains(printed.String(), form) {
				t.Errorf("%s prints: %s", name, printed.String())
			}
		}
		if name == "the secret" && strings.Count(printed.String(), "[redacted]") != 12 {
			t.Errorf("printed %s", printed.String())
		}
	}
	if out, err := xml.Marshal(secret); err != nil || bytes.Contains(out, []byte(canary)) {
		t.Errorf("XML %s, %v", out, err)
	}
	if secret.Reveal() != canary {
		t.Error("Reveal returns something else")
	}
}

func TestNewLogger(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		format, level, want string
		lines               int
	}{
		"JSON from info":  {"json", "info", `"msg":"i"`, 3},
		"text from warn":  {"text", "warn", `msg=w`, 2},
		"text from debug": {"text", "debug", `msg=d`, 4},
		"JSON from error": {"json", "error", `"level":"ERROR"`, 1},
		"nothing said":    {"", "", `"msg":"i"`, 3},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			log := config.NewLogger(&out, config.Config{LogFormat: test.format, LogLevel: test.level})
			log.Debug("d")
			log.Info("i")
			log.Warn("w")
			log.Error("e")
			if strings.Count(out.String(), "\n") != test.lines || !strings.Contains(out.String(), test.want) {
				t.Fatal(out.String())
			}
		})
	}
}
