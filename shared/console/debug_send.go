package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// trialWithin bounds a call: nobody watches one for longer.
	trialWithin = 5 * time.Minute
	// maxShown bounds what is shown of an answer; more is read by programs.
	maxShown = 1 << 20
	// maxExplained is the largest body that the admin API explains.
	maxExplained = 48 << 10
)

// trialResult is what became of a call.
type trialResult struct {
	Explained *explanation
	NotTold   string // why there is no explanation
	Status    int
	Words     string
	Headers   []pair
	Body      string
	Cut       string // why the answer ended early
	Took      time.Duration
}

// explanation is the admin API's.
type explanation struct {
	Outcome string `json:"outcome"`
	Code    string `json:"code"`
	Message string `json:"message"`
	Steps   []struct {
		Step    string `json:"step"`
		Fact    string `json:"fact"`
		Decides bool   `json:"decides"`
	} `json:"steps"`
	Remedy string `json:"remedy"`
}

// told is one thing that is told of a call while it goes on, as a line of JSON.
type told struct {
	Warning   string       `json:"warning,omitempty"`
	Wrong     string       `json:"wrong,omitempty"`
	Explained *explanation `json:"explained,omitempty"`
	NotTold   string       `json:"not_told,omitempty"`
	Status    int          `json:"status,omitempty"`
	Words     string       `json:"words,omitempty"`
	Headers   []pair       `json:"headers,omitempty"`
	Text      string       `json:"text,omitempty"`
	Cut       string       `json:"cut,omitempty"`
	Done      bool         `json:"done,omitempty"`
	Took      int64        `json:"took_ms,omitempty"`
}

// stream sends a call and tells what happens as it happens.
func (v *visit) stream() (answer, error) {
	t := readTrial(v.form)
	v.w.Header().Set("Content-Type", "application/jsonl; charset=utf-8")
	v.w.Header().Set("X-Accel-Buffering", "no") // of nginx: this is to be seen as it comes
	lines, control := json.NewEncoder(v.w), http.NewResponseController(v.w)
	tell := func(what told) {
		_ = lines.Encode(what) // the visitor is gone; the call ends with his request
		_ = control.Flush()
	}
	if wrong := t.wrong(); wrong != "" {
		tell(told{Wrong: wrong})
		return answer{sent: true}, nil
	}
	if warning := t.suspicious(); warning != "" && !t.Anyway {
		tell(told{Warning: warning})
		return answer{sent: true}, nil
	}
	v.send(t, tell)
	return answer{sent: true}, nil
}

// send explains a call, sends it through the public URL, and reads its answer. tell, which may be nil, hears of each part.
func (v *visit) send(t trial, tell func(told)) *trialResult {
	if tell == nil {
		tell = func(told) {}
	}
	result := &trialResult{}
	result.Explained, result.NotTold = v.explain(t)
	tell(told{Explained: result.Explained, NotTold: result.NotTold})
	ctx, cancel := context.WithTimeout(v.r.Context(), trialWithin)
	defer cancel()
	began := v.c.o.Now()
	defer func() {
		result.Took = v.c.o.Now().Sub(began)
		tell(told{Cut: result.Cut, Done: true, Took: result.Took.Milliseconds()})
	}()
	r, err := t.request(ctx, v.c.o.PublicURL)
	if err != nil {
		result.Cut = "This call cannot be made."
		return result
	}
	got, err := v.c.o.Gateway(r)
	if err != nil {
		v.c.o.Log.WarnContext(ctx, "console", "debugger", err.Error())
		result.Cut = "The gateway did not answer at " + v.c.o.PublicURL + ". Is it reachable from here under its public URL?"
		return result
	}
	defer got.Body.Close()
	result.Status, result.Words = got.StatusCode, http.StatusText(got.StatusCode)
	for _, name := range sortedNames(got.Header) {
		for _, value := range got.Header[name] {
			result.Headers = append(result.Headers, pair{name, value})
		}
	}
	tell(told{Status: result.Status, Words: result.Words, Headers: result.Headers})
	result.read(got.Body, tell)
	return result
}

// read takes the answer as it comes. A piece never ends within a character.
func (result *trialResult) read(body io.Reader, tell func(told)) {
	var all strings.Builder
	piece, kept := make([]byte, 32<<10), 0
	for {
		n, err := body.Read(piece[kept:])
		n += kept
		whole := n
		if err == nil {
			whole = wholeRunes(piece[:n])
		}
		if whole > 0 {
			text := strings.ToValidUTF8(string(piece[:whole]), "\uFFFD")
			all.WriteString(text)
			tell(told{Text: text})
		}
		kept = copy(piece, piece[whole:n])
		if all.Len() > maxShown {
			result.Cut = "The answer is longer than what is shown here."
		} else if err != nil && !errors.Is(err, io.EOF) {
			result.Cut = "The answer was cut off."
		}
		if err != nil || result.Cut != "" {
			result.Body = all.String()
			return
		}
	}
}

// wholeRunes is how many bytes are whole characters.
func wholeRunes(b []byte) int {
	for end := len(b); end > len(b)-utf8.UTFMax && end > 0; end-- {
		if utf8.RuneStart(b[end-1]) {
			if utf8.FullRune(b[end-1:]) {
				return len(b)
			}
			return end - 1
		}
	}
	return len(b)
}

// request is the call as it goes out.
func (t trial) request(ctx context.Context, public string) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, t.Method, t.url(public), bytes.NewReader([]byte(t.Body)))
	if err != nil {
		return nil, err
	}
	if t.Body == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	for _, h := range t.Headers {
		r.Header.Add(h.Name, h.Value)
	}
	if r.Header.Get("User-Agent") == "" {
		r.Header.Set("User-Agent", "keyless-console")
	}
	if t.Host != "" {
		r.Host = t.Host
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
		r.Header.Del("Host")
	}
	return r, nil
}

// explain asks the admin API what becomes of the call.
func (v *visit) explain(t trial) (*explanation, string) {
	question := map[string]any{"method": t.Method, "url": t.url(v.c.o.PublicURL)}
	headers := map[string][]string{}
	for _, h := range t.Headers {
		headers[h.Name] = append(headers[h.Name], h.Value)
	}
	if t.Host != "" && headers["Host"] == nil {
		headers["Host"] = []string{t.Host}
	}
	question["headers"] = headers
	if len(t.Body) <= maxExplained {
		question["body"] = t.Body
	}
	got, err := v.api(http.MethodPost, "/explain", question)
	var p *problem
	switch {
	case errors.As(err, &p):
		return nil, p.Detail
	case err != nil:
		v.c.o.Log.ErrorContext(v.r.Context(), "console", "error", err.Error())
		return nil, "The decision cannot be explained now"
	}
	e := &explanation{}
	if err := got.decode(e); err != nil {
		return nil, "The decision cannot be explained now"
	}
	return e, ""
}

func sortedNames(h http.Header) []string { return slices.Sorted(maps.Keys(h)) }
