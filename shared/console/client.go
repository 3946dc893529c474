package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"keyless/shared/admin"
)

// problem is the admin API's refusal (RFC 9457), or a page's own.
type problem struct {
	Title        string   `json:"title"`
	Status       int      `json:"status"`
	Detail       string   `json:"detail"`
	Code         string   `json:"code"`
	RequestID    string   `json:"request_id"`
	Faults       []fault  `json:"faults"`
	Current      string   `json:"current"`
	ReferencedBy []string `json:"referenced_by"`
}

func (p *problem) Error() string { return p.Detail }

// fault is what is wrong with an object, and where.
type fault struct {
	Path string `json:"path"`
	Text string `json:"text"`
}

// reply is an answer of the admin API.
type reply struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (r *reply) Header() http.Header         { return r.header }
func (r *reply) Write(b []byte) (int, error) { return r.body.Write(b) }
func (r *reply) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

// version is that of the object that was answered.
func (r *reply) version() string { return strings.Trim(r.header.Get("ETag"), `"`) }

func (r *reply) decode(into any) error {
	decoder := json.NewDecoder(&r.body)
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("read an answer of the admin API: %w", err)
	}
	return nil
}

// path writes a path of the admin API from segments, each by itself.
func path(segments ...string) string {
	escaped := make([]string, len(segments))
	for i, segment := range segments {
		escaped[i] = url.PathEscape(segment)
	}
	return "/" + strings.Join(escaped, "/")
}

// request makes a call of the admin API as the visitor.
func (v *visit) request(method, path string, body any) (*http.Request, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return nil, fmt.Errorf("write a call of the admin API: %w", err)
		}
	}
	ctx := v.r.Context()
	if v.session.Caller != nil {
		ctx = admin.As(ctx, *v.session.Caller)
	}
	r, err := http.NewRequestWithContext(ctx, method, v.c.o.PublicURL+admin.Prefix+path, bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("make a call of the admin API: %w", err)
	}
	r.TLS, r.RemoteAddr, r.RequestURI = v.r.TLS, v.r.RemoteAddr, r.URL.RequestURI()
	if v.session.Credential != "" {
		r.Header.Set("Authorization", "Bearer "+v.session.Credential)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return r, nil
}

// api calls the admin API. headers are name and value in turn. The error is a *problem where the API refuses.
func (v *visit) api(method, path string, body any, headers ...string) (*reply, error) {
	r, err := v.request(method, path, body)
	if err != nil {
		return nil, err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	got := &reply{header: http.Header{}}
	v.c.o.API.ServeHTTP(got, r)
	if got.status == 0 {
		got.status = http.StatusOK
	}
	if got.status < http.StatusBadRequest {
		return got, nil
	}
	p := &problem{Status: got.status, Title: http.StatusText(got.status)}
	if err := json.Unmarshal(got.body.Bytes(), p); err != nil {
		return nil, fmt.Errorf("read a refusal of the admin API (%d): %w", got.status, err)
	}
	return nil, p
}

// get reads; it returns the version of what it read.
func (v *visit) get(path string, into any) (string, error) {
	got, err := v.api(http.MethodGet, path, nil)
	if err != nil {
		return "", err
	}
	return got.version(), got.decode(into)
}

// ifMatch rests a change on a version; "" is that of an object that is not there.
func ifMatch(version string) []string {
	if version == "" {
		return []string{"If-None-Match", "*"}
	}
	return []string{"If-Match", `"` + version + `"`}
}

// list is a page of the admin API's lists.
type list struct {
	Items []object `json:"items"`
	Next  string   `json:"next"`
}

// few are how many of a kind a page offers to choose from: the longest page of the admin API.
const few = 200

// names are those of the first objects of a kind.
func (v *visit) names(at, key string) ([]string, error) {
	var l list
	if _, err := v.get(fmt.Sprintf("%s?limit=%d", at, few), &l); err != nil {
		return nil, err
	}
	all := make([]string, len(l.Items))
	for i, item := range l.Items {
		all[i] = item.text(key)
	}
	return all, nil
}

// may reports whether the visitor has a right, as the admin API sees it; a page hides what it may not do, and the API refuses it.
func (v *visit) may(right, instance string) bool {
	half, act, _ := strings.Cut(right, ".")
	for _, has := range v.who.Rights {
		hasHalf, hasAct, _ := strings.Cut(has, ".")
		enough := hasAct == "write" || act == hasAct
		reaches := hasHalf == "admin" || hasHalf == half && (half != "identity" || instance == "" || instance == v.who.Instance)
		if enough && reaches {
			return true
		}
	}
	return false
}

// values writes a query from names and values; what is empty is left out.
func values(pairs ...string) string {
	query := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			query.Set(pairs[i], pairs[i+1])
		}
	}
	return query.Encode()
}
