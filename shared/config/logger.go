package config

import (
	"io"
	"log/slog"
)

// NewLogger makes the process' logger: JSON or text lines on w, from the configured level up, each with the region where one is set.
// It is safe for concurrent use.
func NewLogger(w io.Writer, c Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: levelOf(c.LogLevel)}
	handler := slog.Handler(slog.NewJSONHandler(w, options))
	if c.LogFormat == "text" {
		handler = slog.NewTextHandler(w, options)
	}
	if c.Region != "" {
		handler = handler.WithAttrs([]slog.Attr{slog.String("region", c.Region)})
	}
	return slog.New(handler)
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
