// Package translate turns OpenAI's chat completions into Anthropic's messages and back, so that a call can
// fail over from a provider of one dialect to a provider of the other.
//
// A request meets it once for each upstream of the other dialect: Request writes the body for that upstream,
// or says what it holds that the other API has no equal for; then nothing is sent. What comes back is turned
// by Answer (a whole answer), by a Stream (events, as they come) or by Failure (an error's body). Everything
// here is a function of its arguments: no I/O, no clock of its own, no goroutine.
//
// No member of a request is dropped because it is not understood. What cannot change the answer is left out,
// what is neutral may be there, everything else without an equal is refused by its name: rules.go holds the
// tables. Text, numbers and tool schemas pass as they were written. Thinking has no equal: it is refused in
// requests; in answers, Anthropic's becomes reasoning_content and OpenAI's reasoning_content is left out, for
// Anthropic's dialect takes no thinking back that it has not signed.
//
// Wire formats: OpenAI's POST /chat/completions, Anthropic's POST /messages (version 2023-06-01); event
// streams by HTML Living Standard §9.2; JSON by RFC 8259.
package translate

import (
	"errors"
	"time"
)

// Dialect is an API's wire format.
type Dialect string

// The dialects.
const (
	OpenAI    Dialect = "openai"    // chat completions
	Anthropic Dialect = "anthropic" // messages
)

// Version is the value of the header anthropic-version that the bodies made here are written for. Anthropic
// requires the header.
const Version = "2023-06-01"

// DefaultMaxTokens bounds the output where nobody else does: Anthropic requires a bound, and every model of
// theirs takes this one.
const DefaultMaxTokens = 4096

// Unsupported is a request that has no equal in the other dialect, or that cannot be read. It is the caller's
// to know.
type Unsupported struct {
	Member string // path of the member, such as messages[2].content[0]; "" the body itself
	Reason string // a public sentence without its subject
}

// Error is a public sentence: it holds nothing but names of members and words of ours.
func (u *Unsupported) Error() string {
	if u.Member == "" {
		return "The request " + u.Reason
	}
	return u.Member + ": " + u.Reason
}

// The ways in which a stream ends badly.
var (
	// ErrCut: the upstream's stream ended before its proper end. The caller was not told yet.
	ErrCut = errors.New("the upstream's stream ended early")
	// ErrFailed: the upstream ended its stream by an error event. The caller got it, in its own dialect.
	ErrFailed = errors.New("the upstream's stream ended by an error event")
)

// Options are what a request is given beside its own members.
type Options struct {
	Model     string // the upstream's name of the model; "" leaves the caller's
	MaxTokens int64  // bound of output where the caller names none, in model tokens; 0 is DefaultMaxTokens
}

// AnswerOptions are what an answer is given beside what the upstream said.
type AnswerOptions struct {
	Model        string           // what the caller called the model; "" leaves the upstream's name
	ID           string           // of the answer, where the upstream names none
	Now          func() time.Time // for `created`, which Anthropic does not send; nil: 0
	IncludeUsage bool             // of a stream in OpenAI's dialect: the caller asked for the chunk of usage
}

// Path is where the dialect's requests go, below the API's base path.
func Path(to Dialect) string {
	if to == Anthropic {
		return "/messages"
	}
	return "/chat/completions"
}

// Request writes a request of one dialect in the other. The error is always an *Unsupported. A stream is
// asked to tell its usage, whether the caller wants it or not: Anthropic's dialect has to tell it, and the
// meter reads it. body is not changed; safe for concurrent use, like all functions here.
func Request(from, to Dialect, body []byte, o Options) ([]byte, error) {
	differ(from, to)
	if from == OpenAI {
		return messagesRequest(body, o)
	}
	return chatRequest(body, o)
}

// Answer writes a whole answer of status 200 in the caller's dialect (to). An answer that is not one, or
// whose tool call cannot be read, is an error.
func Answer(from, to Dialect, body []byte, o AnswerOptions) ([]byte, error) {
	differ(from, to)
	if from == OpenAI {
		return messagesAnswer(body, o)
	}
	return chatAnswer(body, o)
}

// Failure writes the body of an upstream's answer of status 400 or more in the caller's dialect (to). It
// reads whatever it gets: a body in no known shape becomes a sentence of ours. What the provider wrote is
// passed on, so scrub it of credentials before.
func Failure(from, to Dialect, status int, body []byte) []byte {
	differ(from, to)
	return readFailure(body).forStatus(status).body(to)
}

// differ stops a caller of this package who asks for a translation that is none: proxy passes such bodies
// through.
func differ(from, to Dialect) {
	if !(from == OpenAI && to == Anthropic) && !(from == Anthropic && to == OpenAI) {
		panic("translate: from " + string(from) + " to " + string(to))
	}
}
