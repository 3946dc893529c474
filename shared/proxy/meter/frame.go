package meter

import (
	"bytes"
	"strconv"
)

// Failure is an error that the upstream reports inside a 200.
type Failure struct {
	Type   string // the upstream's word, at most 128 bytes: for the log only
	Code   string // likewise
	Status int    // the HTTP status that it stands for, by our guess; 500 where nothing tells
	Early  bool   // no content went before it: another upstream may be tried
}

// frame is what one event, or a JSON document, holds. What it means is clear only at its end: its type may
// stand last.
type frame struct {
	what     what
	choice   bool // an element of choices
	usage    bool // an object with usage
	content  bool
	failed   bool
	stopped  bool // Anthropic's reason to stop
	finishes int64
	images   int64
	quarters int64
	kind     string // of an error
	code     string // of an error
	top      string // code of the document
}

func (f *frame) onlyUsage() bool { return f.usage && !f.choice && !f.failed && !f.content }

// what is what an event's type says.
type what uint8

const (
	unnamed what = iota
	named
	stops    // the answer is whole
	fails    // it is not
	errs     // an error event
	repeats  // what came in pieces comes once more
	pictures // an image, and the end
)

func whatOf(word []byte) what {
	switch string(word) {
	case "":
		return unnamed
	case "message_stop", "response.completed", "response.incomplete",
		"transcript.text.done", "speech.audio.done":
		return stops
	case "response.failed":
		return fails
	case "error":
		return errs
	case "image_generation.completed", "image_edit.completed":
		return pictures
	}
	if bytes.HasSuffix(word, []byte(".done")) {
		return repeats
	}
	return named
}

func (m *Meter) opened(p path) {
	switch p {
	case pUsage:
		m.told = tally{}
	case pChoice:
		m.frame.choice = true
	case pError:
		m.frame.failed = true
	case pDatum:
		m.frame.images++
		m.frame.content = true
	case pResult:
		m.frame.content = true
	}
}

func (m *Meter) closed(p path) {
	if p == pUsage {
		m.frame.usage = true
		m.commit()
	}
}

func (m *Meter) said(p path, word []byte, quarters int64) {
	switch p {
	case lost:
		return
	case pModel:
		if len(word) > 0 && m.model == "" {
			m.model = string(word)
		}
		return
	case pType:
		m.frame.what = whatOf(word)
		return
	case pStop:
		m.frame.stopped = m.frame.stopped || len(word) > 0 && string(word) != "null"
		return
	case pFinish:
		if len(word) > 0 && string(word) != "null" {
			m.frame.finishes++
		}
		return
	case pError:
		m.frame.failed = len(word) > 0
		return
	case pErrorType:
		m.frame.kind = string(word)
		return
	case pErrorCode:
		m.frame.code = string(word)
		return
	case pCode:
		m.frame.top = string(word)
		return
	}
	if quarters > 0 && says(p) {
		m.frame.content = true
		if !medium(p) {
			m.frame.quarters += quarters
		}
	}
}

// medium reports whether a path leads to bytes of an image or of sound, which are no text.
func medium(p path) bool {
	switch last(p) {
	case nB64, nData, nImage, nURL, nAudio:
		return true
	}
	return false
}

func (m *Meter) counted(p path, word []byte) {
	if p>>8 == pUsage || p>>16 == pUsage && p != lost {
		m.told.count(p, word)
	}
	if p == pErrorCode {
		m.frame.code = string(word)
	}
}

// dispatch draws the sum of an event, or of the document.
func (m *Meter) dispatch() {
	f := &m.frame
	if f.what == unnamed && m.how.Events {
		f.what = whatOf(m.events.name[:m.events.named])
	}
	m.judgeFailure()
	m.content = m.content || f.content || !m.how.Events && m.document.state == broken || m.how.Kind == Opaque
	m.addOutput()
	m.finishes += f.finishes
	m.closing = m.closing || f.stopped || f.what == repeats || m.finishes > 0 && m.finishes >= m.how.Choices
	switch {
	case m.how.Events && m.events.isDone(), f.what == stops, f.what == fails, f.what == pictures:
		m.finished = true
	case m.how.Kind == Native && m.how.Events:
		m.finished = m.finished || f.finishes > 0
	case !m.how.Events:
		m.finished = m.document.state == ended
	}
	m.frame = frame{}
}

func (m *Meter) addOutput() {
	f := &m.frame
	if m.how.Kind == Images {
		images := f.images
		if f.what == pictures {
			images++
		}
		m.used.Images += images
		m.known = m.known || images > 0
	}
	switch {
	case f.what == repeats || f.what == stops:
	case m.how.Cumulative:
		m.quarters = max(m.quarters, f.quarters)
	default:
		m.quarters += f.quarters
	}
}

func (m *Meter) judgeFailure() {
	f := &m.frame
	failed := f.failed || f.what == errs || f.what == fails
	failed = failed || m.how.Kind == Native && (f.top != "" || m.events.status >= 400)
	if !failed || m.failed != nil || m.how.Kind == Opaque {
		return
	}
	code := f.code
	if code == "" {
		code = f.top
	}
	status := statusOf(f.kind, code)
	if m.events.status >= 400 && m.events.status < 600 {
		status = m.events.status
	}
	m.failed = &Failure{Type: f.kind, Code: code, Status: status, Early: !m.content}
}

// statuses are what the words of the vendors stand for, by what they begin with; a later row is asked only
// where no earlier one fits.
var statuses = []struct {
	begins string
	status int
}{
	{"overloaded", 529},
	{"rate_limit", 429}, {"Throttling", 429}, {"insufficient_quota", 429}, {"tokens", 429}, {"requests", 429},
	{"authentication", 401}, {"invalid_api_key", 401}, {"InvalidApiKey", 401},
	{"permission", 403}, {"AccessDenied", 403}, {"access_denied", 403}, {"Arrearage", 403},
	{"not_found", 404}, {"model_not_found", 404}, {"ModelNotFound", 404},
	{"request_too_large", 413},
	{"timeout", 504}, {"RequestTimeOut", 504},
	{"server_error", 500}, {"api_error", 500}, {"InternalError", 500},
	{"invalid_", 400}, {"InvalidParameter", 400}, {"DataInspectionFailed", 400}, {"content_", 400},
	{"context_length", 400},
}

// statusOf guesses. The code says more than the type: Model Studio's throttle has the type of a bad request.
func statusOf(kind, code string) int {
	if n, err := strconv.Atoi(code); err == nil && n >= 400 && n < 600 {
		return n
	}
	for _, word := range []string{code, kind} {
		for _, s := range statuses {
			if len(word) >= len(s.begins) && word[:len(s.begins)] == s.begins {
				return s.status
			}
		}
	}
	return 500
}
