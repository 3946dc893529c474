package proxy_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"keyless/shared/proxy"
)

// TestMasked: a secret is masked wherever reads divide it, and every other byte passes.
func TestMasked(t *testing.T) {
	t.Parallel()
	const secret = "sk-sk-0123456789"
	stars := strings.Repeat("*", len(secret))
	long := strings.Repeat("s", 9000)
	for text, want := range map[string]string{
		"":                               "",
		"nothing of it":                  "nothing of it",
		"a " + secret + " b":             "a " + stars + " b",
		secret + secret:                  stars + stars,
		"sk-" + secret:                   "sk-" + stars,
		"only its beginning: sk-sk-01":   "only its beginning: sk-sk-01",
		"sk-sk-01 is another":            "sk-sk-01 is another",
		long + secret + long:             long + stars + long,
		"its end is near " + secret[:15]: "its end is near " + secret[:15],
	} {
		for way, reader := range map[string]func(io.Reader) io.Reader{
			"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "by halves": iotest.HalfReader,
			"with the error": iotest.DataErrReader,
		} {
			for room, read := range map[string]func(io.Reader) ([]byte, error){
				"plenty": func(r io.Reader) ([]byte, error) {
					var all []byte
					for b := make([]byte, 32<<10); ; {
						n, err := r.Read(b)
						all = append(all, b[:n]...)
						if err == io.EOF {
							return all, nil
						} else if err != nil {
							return all, err
						}
					}
				},
				"little": func(r io.Reader) ([]byte, error) { return io.ReadAll(iotest.OneByteReader(r)) },
				"some":   io.ReadAll,
			} {
				got, err := read(proxy.Masked(io.NopCloser(reader(strings.NewReader(text))), secret))
				equal(t, way+", "+room+": error", err, nil)
				equal(t, way+", "+room, string(got), want)
			}
		}
	}
	_, err := io.ReadAll(proxy.Masked(io.NopCloser(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("ab")))), secret))
	equal(t, "an error passes", err, iotest.ErrTimeout)
}

// TestU14AKeyInsideA200 is masked in an event too, also where the event comes in two pieces; what is no key of ours passes.
func TestU14AKeyInsideA200(t *testing.T) {
	t.Parallel()
	const key = "sk-of-up1-0123456789"
	failure := `data: {"error":{"message":"bad key ` + key + `"}}` + "\n\n"
	half := strings.Index(failure, key) + 9
	base := wire(t, func(c *net.TCPConn) {
		_, _ = io.WriteString(c, streamHead+chunk(failure[:half]))
		time.Sleep(20 * time.Millisecond)
		_, _ = io.WriteString(c, chunk(failure[half:]+event("sk-of-up2-0123456789")+finish+done)+"0\r\n\r\n")
	})
	w := open(t, base, llm(nil, base))
	got := w.chat(t, streamed)
	equal(t, "masked", got.body, strings.Replace(failure, key, strings.Repeat("*", len(key)), 1)+event("sk-of-up2-0123456789")+finish+done)

	upstream := record(t, answers(200, isJSON, `{"note":"`+providerKey+`"}`))
	w = open(t, upstream.URL)
	for path, masks := range map[string]bool{"/v1/files": true, "/mcp": true, "/backend": false} {
		body := do(t, w.request(http.MethodPost, path, `{"jsonrpc":"2.0","id":1,"method":"ping"}`)).body
		equal(t, path+": "+body, strings.Contains(body, providerKey), !masks)
	}
}

// TestAccountsAreTheOperators: whose account pays at the provider is not the caller's to say; a plain backend's headers pass.
func TestAccountsAreTheOperators(t *testing.T) {
	t.Parallel()
	upstream := record(t, nil)
	w := open(t, upstream.URL)
	for path, passes := range map[string]bool{"/v1/files": false, "/mcp": false, "/accounts": true} {
		for _, name := range []string{"Openai-Organization", "Openai-Project", "X-Dashscope-Workspace", "X-Amz-Security-Token",
			"Anthropic-Organization", "Anthropic-Organization-Id"} {
			equal(t, path, do(t, w.request(http.MethodGet, path, "", name+": theirs")).StatusCode, 200)
			equal(t, path+" "+name, upstream.last().Header.Get(name) != "", passes)
		}
		const query = "api-key=a&apikey=b&apikey[]=c&ApiKey%5B%5D=d&subscription-key=e&KEY[0]=f"
		_ = do(t, w.request(http.MethodGet, path+"?"+query+"&keyword=g&beta", ""))
		equal(t, path+": query", upstream.last().URL.RawQuery, map[bool]string{true: query + "&keyword=g&beta", false: "keyword=g&beta"}[passes])
	}
	equal(t, "a version passes", do(t, w.request(http.MethodGet, "/v1/files", "", "Anthropic-Beta: x")).StatusCode, 200)
	equal(t, "a version passes", upstream.last().Header.Get("Anthropic-Beta"), "x")
}
