package registry_test

import (
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"

	"keyless/shared/registry"
)

// requestTo makes the request that net/http's server makes of a request target; nil where that refuses
// it.
func requestTo(target string) *http.Request {
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil
	}
	host := "gateway.test"
	if u.Host != "" {
		host = u.Host
	}
	return &http.Request{Method: http.MethodGet, URL: u, Host: host, RequestURI: target}
}

func TestCanonicalPath(t *testing.T) {
	t.Parallel()
	long := "/" + strings.Repeat("a", registry.MaxPathBytes-1)
	tests := map[string]struct {
		target string
		ok     bool
	}{
		"the root":                         {"/", true},
		"a plain path":                     {"/v1/chat/completions", true},
		"a slash at the end":               {"/v1/", true},
		"two slashes at the end":           {"/v1//", false},
		"two slashes at the start":         {"//v1", false},
		"an empty segment":                 {"/v1//chat", false},
		"only slashes":                     {"///", false},
		"a query does not count":           {"/v1?x=//../%2f", true},
		"a dot segment":                    {"/v1/./chat", false},
		"two dots":                         {"/v1/../admin", false},
		"two dots at the end":              {"/v1/..", false},
		"a dot at the end":                 {"/v1/.", false},
		"three dots":                       {"/v1/.../x", true},
		"a hidden file":                    {"/v1/.well-known", true},
		"encoded dots":                     {"/v1/%2e%2e/admin", false},
		"encoded dots in capitals":         {"/v1/%2E%2E/admin", false},
		"half encoded dots":                {"/v1/.%2E/admin", false},
		"an encoded slash":                 {"/v1%2Fadmin", false},
		"an encoded slash, small":          {"/v1%2fadmin", false},
		"an encoded slash beside a pipe":   {"/v1%2Fadmin|", false},
		"encoded dots beside a quote":      {"/v1/%2E%2E/\"", false},
		"a doubly encoded slash":           {"/v1%252Fadmin", false},
		"an encoded percent":               {"/v1/100%25", false},
		"a backslash":                      {`/v1\admin`, false},
		"an encoded backslash":             {"/v1%5Cadmin", false},
		"an encoded backslash, small":      {"/v1%5cadmin", false},
		"a path parameter":                 {"/v1;v=1/chat", false},
		"an encoded semicolon":             {"/v1%3Bv=1", false},
		"dots before a parameter":          {"/v1/..;/admin", false},
		"a zero byte":                      {"/v1/%00", false},
		"a line feed":                      {"/v1/%0A", false},
		"a carriage return":                {"/v1/%0D%0AX:1", false},
		"a delete":                         {"/v1/%7F", false},
		"an encoded question mark":         {"/v1%3Fadmin", false},
		"an encoded hash":                  {"/v1%23admin", false},
		"a fragment":                       {"/v1#admin", false},
		"an encoded letter":                {"/%761", false},
		"an encoded tilde":                 {"/%7Euser", false},
		"an encoded space":                 {"/a%20b", true},
		"an encoded colon":                 {"/model/claude-v1%3A0", false},
		"a plain colon":                    {"/model/claude-v1:0", true},
		"an encoded at sign":               {"/site/%40admin", false},
		"sub-delimiters":                   {"/a!$&'()*+,=@b", true},
		"encoded UTF-8":                    {"/caf%C3%A9", true},
		"the same in small letters":        {"/caf%c3%a9", false},
		"the same in mixed letters":        {"/caf%C3%a9", false},
		"raw UTF-8":                        {"/café", false},
		"overlong UTF-8":                   {"/%C0%AF", false},
		"overlong dots":                    {"/%C0%AE%C0%AE/", false},
		"half a character":                 {"/%C3", false},
		"a surrogate":                      {"/%ED%A0%80", false},
		"a raw pipe":                       {"/a|b", false},
		"an encoded pipe":                  {"/a%7Cb", true},
		"brackets":                         {"/a[b]", false},
		"encoded brackets":                 {"/a%5Bb%5D", true},
		"absolute form":                    {"http://gateway.test/v1/chat", true},
		"absolute form with dots":          {"http://gateway.test/v1/../chat", false},
		"absolute form without a path":     {"http://gateway.test", false},
		"a star":                           {"*", false},
		"as long as may be":                {long, true},
		"longer by one":                    {long + "a", false},
		"encoded, its length as it stands": {"/" + strings.Repeat("%20", registry.MaxPathBytes/3+1), false},
	}
	for name, test := range tests {
		r := requestTo(test.target)
		if r == nil {
			if test.ok {
				t.Errorf("%s: net/url refuses it", name)
			}
			continue
		}
		got, err := registry.CanonicalPath(r)
		if (err == nil) != test.ok {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if err != nil && (got != "" || err != registry.ErrPath) { // the sentinel is the contract
			t.Errorf("%s: refused with %q and %v", name, got, err)
		}
		if want := strings.TrimPrefix(test.target, "http://gateway.test"); err == nil &&
			!strings.HasPrefix(want, got) {
			t.Errorf("%s: the path became %q", name, got)
		}
	}
}

// FuzzCanonicalPath looks for a path that is judged as one thing and forwarded as another.
func FuzzCanonicalPath(f *testing.F) {
	for _, seed := range []string{
		"/", "/v1/chat/completions", "/v1/../admin", "/v1%2Fadmin|", "/a%20b/%C3%A9", "//x", "/v1;x",
		"/model/a%3A0",
		"http://h/v1", "/v1/.%2e/", "/\\", "/%", "/v10", "/v1/x?y#z", "/a[b]",
	} {
		f.Add(seed)
	}
	snapshot := loaded(f, map[string]string{
		"api:v1":    `{"name":"v1","type":"http","base_path":"/v1","strip_base_path":true}`,
		"api:deep":  `{"name":"deep","type":"http","base_path":"/v1/chat","strip_base_path":true}`,
		"api:admin": `{"name":"admin","type":"http","base_path":"/admin"}`,
		"api:space": `{"name":"space","type":"http","base_path":"/a%20b"}`,
	})
	f.Fuzz(func(t *testing.T, target string) {
		r := requestTo(target)
		if r == nil {
			return
		}
		canonical, err := registry.CanonicalPath(r)
		if err != nil {
			return
		}
		forwarded, err := url.Parse("http://upstream.test" + canonical)
		if err != nil {
			t.Fatalf("%q is judged as %q, which does not parse: %v", target, canonical, err)
		}
		again := &http.Request{URL: forwarded, Host: r.Host}
		if twice, err := registry.CanonicalPath(again); err != nil || twice != canonical {
			t.Fatalf("%q became %q, and that %q, %v", target, canonical, twice, err)
		}
		if forwarded.RawQuery != "" || forwarded.Fragment != "" || forwarded.Path != r.URL.Path {
			t.Fatalf("%q is forwarded as %v", target, forwarded)
		}
		if clean := path.Clean(forwarded.Path); clean != forwarded.Path && clean+"/" != forwarded.Path {
			t.Fatalf("%q decodes to %q, which a server cleans to %q", target, forwarded.Path, clean)
		}
		one, errOne := snapshot.Route(r)
		two, errTwo := snapshot.Route(again)
		if errOne != nil || errTwo != nil || one != two {
			t.Fatalf("%q routes to %+v, %v, forwarded to %+v, %v", target, one, errOne, two, errTwo)
		}
		if one.API != nil && one.API.StripBasePath && one.API.BasePath+one.Rest() != canonical {
			t.Fatalf("%q leaves %q", target, one.Rest())
		}
	})
}
