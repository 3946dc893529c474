package accesslog

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	// maxValue bounds one value of the line, in bytes: a caller chooses path, host and method.
	maxValue = 256
	// maxAdded bounds what the rooms add to one line: a loop that adds must not fill the log.
	maxAdded = 32
	// maxStack bounds the stack of a panic, in bytes: the frames that tell stand first.
	maxStack = 8 << 10
)

// recordKey is the context key of a request's record.
type recordKey struct{}

// record gathers the facts of one line.
type record struct {
	requestID string

	// mu guards attrs, added and closed: rooms may add from several goroutines.
	mu     sync.Mutex
	attrs  []slog.Attr
	added  int
	closed bool
}

// open begins a line with what the request says of itself.
func open(r *http.Request, id, client string) *record {
	attrs := make([]slog.Attr, 0, 16)
	return &record{requestID: id, attrs: append(attrs,
		slog.String("method", clip(r.Method)), slog.String("host", clip(r.Host)),
		slog.String("path", clip(r.URL.Path)), slog.String("client", client), slog.String("request_id", id),
	)}
}

// Add puts facts on the line of the request that ctx belongs to, 32 at most; longer values than 256 bytes are
// cut. It does nothing without Handler, and nothing once the line is written. Credentials and claims never
// belong here.
func Add(ctx context.Context, attrs ...slog.Attr) {
	record, ok := ctx.Value(recordKey{}).(*record)
	if !ok {
		return
	}
	bounded := make([]slog.Attr, len(attrs))
	for i, attr := range attrs {
		bounded[i] = slog.Attr{Key: clip(attr.Key), Value: bound(attr.Value)}
	}
	record.mu.Lock()
	defer record.mu.Unlock()
	room := min(maxAdded-record.added, len(bounded))
	if record.closed || room <= 0 {
		return
	}
	record.added += room
	record.attrs = append(record.attrs, bounded[:room]...)
}

// close ends the line with how the answer ended, and returns it.
func (rec *record) close(answer *response, took time.Duration, fate fate) []slog.Attr {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.closed = true
	rec.attrs = append(rec.attrs, slog.Int("status", answer.status), slog.Int64("bytes", answer.bytes),
		slog.Float64("duration_ms", float64(took.Microseconds())/1000), slog.String("end", fate.end))
	return append(rec.attrs, fate.attrs...)
}

const (
	endOK      = "ok"
	endAborted = "aborted"
	endPanic   = "panic"
)

// fate is how a handler ended.
type fate struct {
	end   string
	cut   bool // the handler asked for a cut answer
	level slog.Level
	attrs []slog.Attr
}

// judge tells apart a return, the agreed way to cut an answer, and a fault. It must run while the panicking
// frames are still on the stack.
func judge(returned bool, thrown any) fate {
	switch {
	case returned:
		return fate{end: endOK, level: slog.LevelInfo}
	case thrown == http.ErrAbortHandler: //nolint:errorlint // net/http compares the panic's value so
		return fate{end: endAborted, cut: true, level: slog.LevelInfo}
	case thrown == nil: // runtime.Goexit, which goes on by itself
		return fate{end: endAborted, level: slog.LevelInfo}
	}
	stack := debug.Stack()
	return fate{end: endPanic, level: slog.LevelError, attrs: []slog.Attr{
		slog.String("panic", describe(thrown)), slog.String("stack", string(stack[:min(len(stack), maxStack)])),
	}}
}

// describe says what was thrown. The runtime's own errors speak of types and numbers only; every other value
// may hold what came with the request, so only its type is told. The stack says where.
func describe(thrown any) string {
	if fault, ok := thrown.(runtime.Error); ok {
		return clip(fault.Error())
	}
	return clip(fmt.Sprintf("%T", thrown))
}

// bound cuts a value to maxValue. What is neither a number, a time nor a truth becomes text, for its size is
// unknown.
func bound(value slog.Value) slog.Value {
	value = value.Resolve()
	switch value.Kind() {
	case slog.KindString, slog.KindAny, slog.KindGroup:
		return slog.StringValue(clip(value.String()))
	}
	return value
}

// clip cuts text to maxValue bytes, at a character's boundary.
func clip(text string) string {
	if len(text) <= maxValue {
		return text
	}
	end := maxValue
	for end > maxValue-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}
