package command

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"keyless/shared/admin"
	"keyless/shared/config"
	"keyless/shared/process"
	"keyless/shared/trail"
)

const (
	// explainWithin bounds a call of the admin API: a foreign key set may have to be fetched.
	explainWithin = 30 * time.Second
	// maxExplanation bounds what is read of its answer: an explanation has a few KiB.
	maxExplanation = 1 << 20
)

// explain says what becomes of a request and why: over the admin API (KEYLESS_URL, KEYLESS_ADMIN_TOKEN), else from the store.
func explain(ctx context.Context, t terminal, args []string) error {
	return t.explain(ctx, os.Stdin, args)
}

func (t terminal) explain(ctx context.Context, stdin io.Reader, args []string) error {
	a, err := t.explainArguments(stdin, args)
	if err != nil {
		return err
	}
	c, err := config.Load(t.lookup, config.Serve())
	if err != nil {
		return err
	}
	var e admin.Explanation
	if a.target != "" {
		e, err = explainRemote(ctx, a.target, c.AdminToken, a.question)
	} else {
		e, err = t.explainHere(ctx, c, a.question)
	}
	if admin.IsBadQuestion(err) {
		return usage{err}
	}
	if err != nil {
		return err
	}
	if a.asJSON {
		err = json.NewEncoder(t.stdout).Encode(e)
	} else {
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
	target   string // admin API's base URL; "": the store
	asJSON   bool
	question admin.Question
}

func (t terminal) explainArguments(stdin io.Reader, args []string) (explainArguments, error) {
	var a explainArguments
	var headers []string
	flags := flag.NewFlagSet("explain", flag.ContinueOnError)
	flags.SetOutput(t.stderr)
	flags.StringVar(&a.target, "url", t.variable("KEYLESS_URL"), "admin API's base `URL`; needs KEYLESS_ADMIN_TOKEN")
	flags.BoolVar(&a.asJSON, "json", false, "print the explanation as JSON")
	id := flags.String("request-id", "", "the `id` of a request that was refused within the last hour")
	method := flags.String("method", "", "the request's `method`; default GET, with a body POST")
	body := flags.String("data", "", "the request's `body`, where a signature covers it or models are limited")
	flags.Func("header", "a `'name: value'` of the request; may stand several times", func(line string) error {
		headers = append(headers, line)
		return nil
	})
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return a, err
		}
		return a, usage{err}
	}
	rest, byFlags := flags.Args(), *method != "" || *body != "" || len(headers) > 0
	words, isCurl, err := curlWords(stdin, rest)
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

func (t terminal) explainHere(ctx context.Context, c config.Config, q admin.Question) (admin.Explanation, error) {
	c, err := reach(c)
	if err != nil {
		return admin.Explanation{}, err
	}
	p, err := process.On(c, t.stderr)
	if err != nil {
		return admin.Explanation{}, err
	}
	defer p.Redis.Close()
	return admin.Explain(ctx, admin.Options{
		Store: p.Store(), Keys: p.Keys, Gate: gateOn(p), Trail: trail.NewRedis(p.Redis, c.Cell, time.Now), Now: time.Now, Log: p.Log,
	}, q)
}

// explainRemote asks the admin API.
func explainRemote(ctx context.Context, url string, token config.Secret, q admin.Question) (admin.Explanation, error) {
	var e admin.Explanation
	url, err := baseURL(url)
	if err != nil {
		return e, err
	}
	body, err := json.Marshal(q)
	if err != nil {
		return e, err
	}
	ctx, cancel := context.WithTimeout(ctx, explainWithin)
	defer cancel()
	status, reply, err := askAdmin(ctx, url, token, "explain", body, maxExplanation)
	if err != nil {
		return e, err
	}
	if status == http.StatusOK {
		return e, json.Unmarshal(reply, &e)
	}
	problem := struct{ Detail string }{}
	_ = json.Unmarshal(reply, &problem) // what is no problem document has no detail
	return e, fmt.Errorf("the admin API answered %d: %s", status, plain(problem.Detail))
}
