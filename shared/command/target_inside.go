package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"keyless/shared/admin"
	"keyless/shared/registry/file"
)

// answer keeps what a handler in this process answers.
type answer struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// Write implements http.ResponseWriter.
func (a *answer) Write(text []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(text)
}

// errCut says that an answer has no end.
var errCut = errors.New("the answer was cut before its end")

// inside lets a handler of this process answer. One that aborts is what a cut connection is over HTTP.
func inside(h http.Handler, r *http.Request) (response *http.Response, err error) {
	a := &answer{header: http.Header{}}
	defer func() {
		if cause := recover(); cause != nil {
			if failure, is := cause.(error); !is || !errors.Is(failure, http.ErrAbortHandler) {
				panic(cause)
			}
			response, err = nil, errCut
		}
	}()
	h.ServeHTTP(a, r)
	a.WriteHeader(http.StatusOK)
	return &http.Response{StatusCode: a.status, Header: a.header, Body: io.NopCloser(&a.body)}, nil
}

// problem is a refusal or a failure that the admin API answered.
type problem struct{ admin.Problem }

func (p *problem) Error() string {
	detail := plain(p.Detail)
	if len(p.Faults) > 0 {
		detail += ":\n" + plainLines(p.Faults.Error())
	}
	if len(p.ReferencedBy) > 0 {
		detail += ": " + plain(strings.Join(p.ReferencedBy, ", "))
	}
	return fmt.Sprintf("%s (%d %s)", detail, p.Status, plain(p.Code))
}

// plainLines is plain for several lines.
func plainLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = plain(line)
	}
	return strings.Join(lines, "\n")
}

// problemOf reads an answer that is no success: 4xx is a refusal, all else a failure.
func problemOf(status int, text []byte) error {
	p := &problem{}
	if json.Unmarshal(text, &p.Problem) != nil || p.Detail == "" {
		p.Problem = admin.Problem{Detail: "what answered is no admin API", Code: "unknown"}
	}
	p.Status = status
	if status >= http.StatusBadRequest && status < http.StatusInternalServerError {
		return refused{p}
	}
	return p
}

// codeOf is the code of a problem; "" for any other error.
func codeOf(err error) string {
	var p *problem
	if errors.As(err, &p) {
		return p.Code
	}
	return ""
}

// faultsIn gives the faults of a problem their lines in a file.
func faultsIn(err error, positions file.Positions) error {
	var p *problem
	if errors.As(err, &p) && len(p.Faults) > 0 {
		return refused{positions.Explain(p.Faults)}
	}
	return err
}

// named says which object an error is about.
func named(err error, what string) error {
	var no refused
	switch {
	case err == nil:
		return nil
	case errors.As(err, &no):
		return refused{fmt.Errorf("%s: %w", what, no.error)}
	}
	return fmt.Errorf("%s: %w", what, err)
}
