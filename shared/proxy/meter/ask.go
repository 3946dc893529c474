package meter

import (
	"mime"
	"net/http"
	"strings"
)

// Ask is what a request asks, as far as money and routing go. The zero value asks nothing that we know.
type Ask struct {
	Kind       Kind
	Model      string // the caller's name, "" none named
	ManyModels bool   // the body has a list `models` beside it: another reader may run one of those
	Stream     bool
	WantsUsage bool // stream_options.include_usage is true: the usage chunk is the caller's
	// Cumulative is a native stream in which each event repeats the text so far, for want of
	// parameters.incremental_output.
	Cumulative bool
	// MaxOutput is the tokens of output that the caller bounds each choice to, 0 none named; the smaller where
	// two members name one, and Splice sets both to it.
	MaxOutput int64
	// Choices is how many answers are generated, at least 1: n or best_of, times the prompts of /completions. On
	// Images: images.
	Choices  int64
	Images   int64 // that are made at most, as far as the body says: on Images, and on Native if its model makes any
	Input    int64 // tokens that the input is at most, by the rule in input.go
	Likely   int64 // tokens that it probably is: what to settle where the upstream does not tell
	Pictures int64 // images within the input
	// Unseen: the body points to input that it does not hold (an earlier response, a file by its id, a search).
	// Input bounds the rest.
	Unseen  bool
	Metered bool // usage is to be held and settled
	// Background: the answer is not waited for (Responses), so that its usage comes with another call.
	Background bool

	at places
}

// Read reads a request's body, once over and without a copy. refusal is "" or a public sentence. The body of
// a kind that is JSON has to be one strict JSON object whatever its Content-Type says, for upstreams do not
// look at that either. header gives Content-Type (multipart forms), X-DashScope-SSE and Accept (native
// streams). Of a form, what is read are model, stream, n and the bounds of the input. A kind that is Opaque
// is not read. Safe for concurrent use.
func Read(kind Kind, header http.Header, body []byte) (ask Ask, refusal string) {
	ask = Ask{Kind: kind, Choices: 1, Metered: kind.Metered()}
	if kind == Opaque {
		return ask, ""
	}
	if kind.form() {
		media, params, _ := mime.ParseMediaType(header.Get("Content-Type"))
		if strings.HasPrefix(media, "multipart/") {
			return readForm(ask, params["boundary"], body)
		}
	}
	r := reader{text: body, ask: &ask}
	if err := r.document(); err != nil {
		return Ask{Kind: kind, Choices: 1, Metered: ask.Metered}, err.sentence
	}
	ask.Input, ask.Likely = r.input.most(), r.input.probably()
	ask.Pictures = r.input.pictures
	if kind == Native {
		ask.Stream = nativeStream(header)
		ask.Cumulative = ask.Stream && !r.incremental
	}
	return ask, ""
}

// nativeStream follows Model Studio: the header asks for events, not the body.
func nativeStream(header http.Header) bool {
	return strings.EqualFold(header.Get("X-DashScope-SSE"), "enable") ||
		strings.Contains(strings.ToLower(header.Get("Accept")), "text/event-stream")
}

// unreadable is why a body is refused.
type unreadable struct{ sentence string }

func refuse(sentence string) *unreadable { return &unreadable{sentence} }

// The public sentences that need no name in them.
const (
	notJSON    = "the body is to be one valid JSON object in UTF-8"
	notObject  = "the body is to be one JSON object"
	tooDeep    = "the body is nested deeper than 64 levels"
	tooMany    = "the body asks for more than 1048576 answers"
	badOptions = "the member stream_options is to be an object"
	badParams  = "the member parameters is to be an object"
	badModel   = "the member model is to be a string of at most 1022 bytes"
	twoSources = "a source is to name its type and its data once"
	badForm    = "the multipart form cannot be read"
)

func twice(name string) *unreadable {
	return refuse("the body is to have the member " + name + " once, in small letters")
}
func notWhole(name string) *unreadable {
	return refuse("the member " + name + " is to be a whole number from 0 to 2147483647")
}
func notFlag(name string) *unreadable {
	return refuse("the member " + name + " is to be true or false")
}
