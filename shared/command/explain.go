package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"keyless/shared/admin"
)

// explain says what becomes of a request and why.
func explain(ctx context.Context, t terminal, args []string) error {
	a, err := t.explainArguments(args)
	if err != nil {
		return err
	}
	g, err := t.gateway(&a.options)
	if err != nil {
		return err
	}
	defer g.close()
	var e admin.Explanation
	_, err = g.do(ctx, ask{method: http.MethodPost, path: "/explain", body: a.question}, &e)
	var p *problem
	switch {
	case errors.As(err, &p) && p.Code == "bad_request":
		return usage{errors.New(plain(p.Detail))}
	case errors.As(err, &p): // that it cannot be told is no refusal of the request
		return p
	case err != nil:
		return err
	case a.asJSON:
		err = t.json(e)
	default:
		printExplanation(t.stdout, e)
	}
	switch {
	case err != nil:
		return err
	case e.Outcome == admin.OutcomeRefused:
		return refused{fmt.Errorf("the gateway refuses this request: %d %s", e.Status, plain(e.Code))}
	case e.Outcome == admin.OutcomeFailed:
		return fmt.Errorf("the gateway cannot decide: %d %s", e.Status, plain(e.Code))
	}
	return nil
}

// explainArguments are what the command line says.
type explainArguments struct {
	options
	question admin.Question
}

func (t terminal) explainArguments(args []string) (explainArguments, error) {
	var a explainArguments
	var headers []string
	flags, o := t.gatewayFlags()
	id := flags.String("request-id", "", "the `id` of a request that was refused within the last hour")
	method := flags.String("method", "", "the request's `method`; default GET, with a body POST")
	body := flags.String("data", "", "the request's `body`, where a signature covers it or models are limited")
	flags.Func("header", "a `'name: value'` of the request; may stand several times", func(line string) error {
		headers = append(headers, line)
		return nil
	})
	if err := t.once(flags, args); err != nil {
		return a, err
	}
	a.options = *o
	rest, byFlags := flags.Args(), *method != "" || *body != "" || len(headers) > 0
	words, isCurl, err := curlWords(t.stdin, rest)
	switch {
	case err != nil:
		return a, usage{err}
	case *id != "" && (len(rest) > 0 || byFlags):
		return a, usage{errors.New("--request-id stands alone: it asks about a request that was")}
	case *id != "":
		a.question = admin.Question{RequestID: *id}
		return a, nil
	case isCurl && byFlags:
		return a, usage{errors.New("a curl command says all of the request; leave --method, --header and --data out")}
	case isCurl:
		a.question, err = parseCurl(words)
	case len(rest) == 1:
		a.question, err = requestOf(rest[0], *method, headers, *body)
	default:
		return a, usage{errors.New("name a request: its URL, a curl command behind --, or --request-id")}
	}
	if err != nil {
		return a, usage{err}
	}
	return a, nil
}

// curlWords finds a curl command: as words, as one word that holds it all, or pasted to standard input, which "-" stands for. So a
// token need not stand in the list of processes.
func curlWords(stdin io.Reader, rest []string) ([]string, bool, error) {
	switch {
	case len(rest) == 0:
		return nil, false, nil
	case rest[0] == "curl":
		return rest[1:], true, nil
	case len(rest) > 1:
		return nil, false, errors.New("what follows is neither one URL nor a curl command")
	}
	text := rest[0]
	if text == "-" {
		read, err := io.ReadAll(io.LimitReader(stdin, admin.MaxQuestionBytes+1))
		if err != nil {
			return nil, false, fmt.Errorf("read standard input: %w", err)
		}
		if len(read) > admin.MaxQuestionBytes {
			return nil, false, errors.New("a curl command has at most 64 KiB")
		}
		text = string(read)
	} else if !strings.ContainsAny(text, " \t\n") {
		return nil, false, nil
	}
	words, err := shellWords(text)
	if err == nil && (len(words) == 0 || words[0] != "curl") {
		err = errors.New("the text is no curl command")
	}
	if err != nil {
		return nil, false, err
	}
	return words[1:], true, nil
}

// requestOf makes a question of flags.
func requestOf(url, method string, headers []string, body string) (admin.Question, error) {
	q := admin.Question{URL: url, Method: method, Headers: map[string][]string{}}
	for _, line := range headers {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return q, errors.New("--header is written 'name: value'")
		}
		q.Headers[name] = append(q.Headers[name], strings.TrimSpace(value))
	}
	if body != "" {
		q.Body = &body
		if method == "" {
			q.Method = http.MethodPost
		}
	}
	return q, nil
}
