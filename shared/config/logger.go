package config

import (
	"io"
	"log/slog"
)

// NewLogger makes the process' logger: JSON or text lines on w, from the configured level up. It is safe for
// concurrent use.
func NewLogger(w io.Writer, c Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: levelOf(c.LogLevel)}
	if c.LogFormat == "text" {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// levelOf maps the words of KEYLESS_LOG; what Load did not make logs as info.
func levelOf(word string) slog.Level {
	switch word {
	case "debug":
		return slog.LevelDebug
	case "warn":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	}
	return slog.LevelInfo
}
