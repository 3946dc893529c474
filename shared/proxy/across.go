package proxy

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"keyless/shared/proxy/meter"
	"keyless/shared/proxy/translate"
	"keyless/shared/registry"
)

// A call crosses where its upstream speaks the other dialect: chat completions to Anthropic, messages to OpenAI. The request is
// translated before anything is sent, the answer as it comes.

// kindAcross is the kind of what a crossing call's upstream answers.
func kindAcross(a aim) meter.Kind {
	if a.upstream.Protocol == registry.Anthropic {
		return meter.Messages
	}
	return meter.Chat
}

// dialects are the caller's and the upstream's.
func dialects(a aim) (caller, upstream translate.Dialect) {
	if a.upstream.Protocol == registry.Anthropic {
		return translate.OpenAI, translate.Anthropic
	}
	return translate.Anthropic, translate.OpenAI
}

// translateUp writes the body for the upstream's dialect, or says why there is none.
func (c *call) translateUp(a *aim) *refusal {
	from, to := dialects(*a)
	body, err := translate.Request(from, to, c.body, translate.Options{Model: a.model, MaxTokens: c.bound})
	var cannot *translate.Unsupported
	if errors.As(err, &cannot) {
		return badRequest(cannot.Error())
	}
	if err != nil {
		return badRequest("the body cannot be translated for the upstream")
	}
	a.body = body
	return nil
}

// versioned is a base URL's path that ends in a version, below which the dialect's own paths begin.
var versioned = regexp.MustCompile(`/v[0-9][^/]*$`)

// acrossPath is where a translated call goes at its upstream: operators write base URLs with and without the version.
func acrossPath(u *registry.Upstream) string {
	base, _ := url.Parse(u.BaseURL)
	path := ""
	if base != nil {
		path = strings.TrimSuffix(base.Path, "/")
	}
	_, to := dialects(aim{upstream: u})
	if versioned.MatchString(path) || path != "" && to == translate.OpenAI {
		return translate.Path(to)
	}
	return "/v1" + translate.Path(to)
}

// acrossHeader makes a header of one dialect one of the other.
func acrossHeader(h http.Header, to string) {
	for name := range h {
		if strings.HasPrefix(name, "Anthropic-") || strings.HasPrefix(name, "Openai-") {
			delete(h, name)
		}
	}
	h.Set("Content-Type", "application/json")
	if to == registry.Anthropic {
		h.Set("Anthropic-Version", translate.Version)
	}
}

// maxAcross bounds an answer that is translated whole, and maxAcrossError an error's.
const (
	maxAcross      = 32 << 20
	maxAcrossError = 1 << 20
)

var errLong = errors.New("the upstream's answer is too long to be translated")

// relayAcross passes a whole answer on in the caller's dialect. The error is the upstream's.
func (p *proxy) relayAcross(c *call, x *exchange) error {
	to, from := dialects(x.aim)
	failed := x.StatusCode >= http.StatusBadRequest
	limit := int64(maxAcross)
	if failed {
		limit = maxAcrossError
	}
	x.watch.Reset(x.idle)
	body, err := io.ReadAll(io.LimitReader(&watched{x}, limit+1))
	x.watch.Stop()
	switch {
	case err != nil && !failed:
		return x.why(err)
	case int64(len(body)) > limit && !failed:
		return errLong
	}
	x.take(body)
	x.tail()
	if failed {
		body = translate.Failure(from, to, x.StatusCode, body)
	} else if body, err = translate.Answer(from, to, body, c.answerOptions(p.Now)); err != nil {
		x.broken = err
		return err
	}
	h := c.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	c.begin(x.StatusCode)
	if _, err := io.Copy(c.w, bytes.NewReader(body)); err != nil {
		return errors.Join(errTaken, err)
	}
	return nil
}

// watched gives each read the upstream's patience anew.
type watched struct{ x *exchange }

func (w *watched) Read(b []byte) (int, error) {
	w.x.watch.Reset(w.x.idle)
	return w.x.Body.Read(b)
}

func (c *call) answerOptions(now func() time.Time) translate.AnswerOptions {
	return translate.AnswerOptions{ID: c.id, Now: now, IncludeUsage: c.ask.WantsUsage}
}
