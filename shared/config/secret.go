package config

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted is what every way of printing a Secret gives.
const redacted = "[redacted]"

// Secret is text that never prints: not with fmt under any verb, not as JSON or text, not in log/slog. Keep
// it in exported fields: fmt reads unexported ones without asking the value, and a map's JSON keys are taken
// as they are.
type Secret string

// Reveal returns the text itself, for the one call that needs it.
func (s Secret) Reveal() string { return string(s) }

// String returns a fixed text.
func (Secret) String() string { return redacted }

// GoString returns a fixed text, for %#v.
func (Secret) GoString() string { return redacted }

// Format prints a fixed text under every verb, %x and %q included.
func (Secret) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }

// MarshalJSON returns a fixed JSON string.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText returns a fixed text, for XML, YAML and whatever else asks.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns a fixed text, for log/slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
