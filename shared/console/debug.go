package console

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// pair is a header or query parameter of a call.
type pair struct{ Name, Value string }

// trial is a call that the debugger is to send.
type trial struct {
	API     string
	Method  string
	Host    string // "": that of the public URL
	Path    string
	Query   []pair
	Headers []pair
	Body    string
	Anyway  bool // send it although something looks wrong
}

// debugPage is the debugger.
type debugPage struct {
	trial
	APIs    []string
	Hosts   []string
	Methods []string
	Warning string
	Wrong   string
	Result  *trialResult // nil: nothing was sent
	URL     string
	Tried   bool
}

var debugMethods = []string{"POST", "GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}

// examples are what a call of each type begins with.
var examples = map[string]struct{ method, path, body string }{
	"llm": {"POST", "/chat/completions",
		"{\n  \"model\": \"demo\",\n  \"stream\": true,\n  \"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]\n}"},
	"mcp": {"POST", "", "{\n  \"jsonrpc\": \"2.0\",\n  \"id\": 1,\n  \"method\": \"tools/list\"\n}"},
}

// debug shows the debugger, and sends a call.
func debug(v *visit, rest []string) (answer, error) {
	if !v.may("gateway.read", "") {
		return answer{}, &problem{Status: http.StatusForbidden, Title: "Forbidden", Detail: "It needs the right gateway.read"}
	}
	if len(rest) == 1 && rest[0] == "stream" && v.posted() {
		return v.stream()
	}
	if len(rest) > 0 {
		return answer{}, errNoPage
	}
	shown := debugPage{Methods: debugMethods}
	var err error
	if shown.APIs, err = v.names("/apis", "name"); err != nil {
		return answer{}, err
	}
	if v.posted() {
		shown.trial = readTrial(v.form)
	} else if shown.trial, err = v.firstTrial(v.r.URL.Query().Get("api")); err != nil {
		return answer{}, err
	}
	if shown.Hosts, err = v.hosts(shown.API); err != nil {
		return answer{}, err
	}
	shown.URL = shown.trial.url(v.c.o.PublicURL)
	if v.posted() {
		v.try(&shown)
	}
	return answer{page: "debug", title: "Debugger", data: shown}, nil
}

// try does what the button says: another row, or the call.
func (v *visit) try(shown *debugPage) {
	switch v.form.Get("add") {
	case "header":
		shown.Headers = append(shown.Headers, pair{})
		return
	case "query":
		shown.Query = append(shown.Query, pair{})
		return
	}
	if shown.Wrong = shown.trial.wrong(); shown.Wrong != "" {
		return
	}
	if shown.Warning = shown.trial.suspicious(); shown.Warning != "" && !shown.Anyway {
		return
	}
	shown.Result = v.send(shown.trial, nil)
}

// firstTrial is a call of an API that its type makes likely.
func (v *visit) firstTrial(api string) (trial, error) {
	t := trial{API: api, Method: "GET", Path: "/"}
	if api == "" {
		return t, nil
	}
	var o object
	if _, err := v.get(path("apis", api), &o); err != nil {
		return t, err
	}
	example := examples[o.text("type")]
	t.Path = strings.TrimSuffix(o.text("base_path"), "/") + example.path
	if example.method != "" {
		t.Method, t.Body = example.method, example.body
		t.Headers = []pair{{"Content-Type", "application/json"}}
		if o.text("type") == "mcp" {
			t.Headers = append(t.Headers, pair{"Accept", "application/json, text/event-stream"})
		}
	}
	if domains := o.strings("domains"); len(domains) > 0 && !slices.Contains(domains, "default") {
		t.Host = strings.Replace(domains[0], "*.", "any.", 1)
	}
	return t, nil
}

// hosts are those that a call of the API may be for, beside the public URL's.
func (v *visit) hosts(api string) ([]string, error) {
	names, err := v.names("/domains", "name")
	return slices.DeleteFunc(names, func(name string) bool { return name == "default" }), err
}

// maxPairs bounds headers, and query parameters, of a call.
const maxPairs = 100

func readTrial(form url.Values) trial {
	return trial{
		API: form.Get("api"), Method: form.Get("method"),
		Host: strings.TrimSpace(form.Get("host")), Path: strings.TrimSpace(form.Get("path")),
		Query: readPairs(form["query.name"], form["query.value"]), Headers: readPairs(form["header.name"], form["header.value"]),
		Body: strings.ReplaceAll(form.Get("body"), "\r\n", "\n"), Anyway: form.Get("anyway") != "",
	}
}

func readPairs(names, values []string) []pair {
	var all []pair
	for i := range min(len(names), len(values), maxPairs) {
		if strings.TrimSpace(names[i]) != "" || values[i] != "" {
			all = append(all, pair{strings.TrimSpace(names[i]), values[i]})
		}
	}
	return all
}

// url is what is called, spelled as it is typed.
func (t trial) url(public string) string {
	at := public + t.Path
	var query []string
	for _, p := range t.Query {
		query = append(query, url.QueryEscape(p.Name)+"="+url.QueryEscape(p.Value))
	}
	if len(query) > 0 {
		sign := "?"
		if strings.Contains(t.Path, "?") {
			sign = "&"
		}
		at += sign + strings.Join(query, "&")
	}
	return at
}

var (
	headerName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
	hostName   = regexp.MustCompile(`^[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?$`)
)

// wrong says why a call cannot be sent.
func (t trial) wrong() string {
	switch {
	case !strings.HasPrefix(t.Path, "/"):
		return "The path begins with a slash."
	case strings.HasPrefix(t.Path, "/_/"):
		return "The debugger calls APIs, not the gateway's own pages."
	case strings.ContainsAny(t.Path, "#\r\n\x00 ") || len(t.Path) > maxPath:
		return "The path has a space, a # or a line break in it, or is too long; write it as it goes over the wire."
	case !slices.Contains(debugMethods, t.Method):
		return "Choose a method."
	case t.Host != "" && !hostName.MatchString(t.Host):
		return "The host is a name, such as ai.example.com."
	}
	for _, h := range t.Headers {
		if !headerName.MatchString(h.Name) || strings.ContainsAny(h.Value, "\r\n\x00") {
			return fmt.Sprintf("No header can be called %q, or its value has a line break in it.", short(h.Name))
		}
	}
	if _, err := url.ParseRequestURI(t.Path); err != nil {
		return "No server understands this path."
	}
	return ""
}

const maxPath = 8 << 10

// suspicious flags what is allowed and nearly always a mistake.
func (t trial) suspicious() string {
	for _, h := range t.Headers {
		scheme, rest, has := strings.Cut(h.Value, " ")
		bearer := strings.EqualFold(scheme, "Bearer") || !has && strings.HasPrefix(strings.ToLower(h.Value), "bearer")
		if !strings.EqualFold(h.Name, "Authorization") || !bearer {
			continue
		}
		switch {
		case !has:
			return "There is no space between Bearer and the token. Exactly one belongs there."
		case strings.HasPrefix(rest, " ") || strings.HasPrefix(rest, "\t"):
			return "There is a second space between Bearer and the token. Exactly one belongs there; the gateway refuses this call."
		case rest != strings.TrimSpace(rest) || strings.ContainsAny(rest, " \t"):
			return "There is a space in or behind the token. The gateway refuses this call."
		}
	}
	return ""
}
