// Package clients uses the gateway through clients that people have already: x/oauth2, OpenAI's SDK, curl. It is a module of its own,
// so that the gateway's go.mod stays lean.
package clients

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

const scope = "cloud:idaas:aigateway:alibabacloud:1234567890|model.invoke"

// demo is a running `keyless serve --demo`, and what it printed.
type demo struct {
	url, secret string
	printed     string
}

// build makes the binary that users run.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "keyless")
	compile := exec.Command("go", "build", "-o", program, "./functions/keyless")
	compile.Dir = "../.."
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return program
}

func serveDemo(t *testing.T) demo {
	t.Helper()
	program := build(t)
	cmd := exec.Command(program, "serve", "--demo")
	cmd.Env = append(os.Environ(), "KEYLESS_ADDR=127.0.0.1:0", "KEYLESS_DATA=")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	var text strings.Builder
	for scanner := bufio.NewScanner(out); scanner.Scan(); {
		text.WriteString(scanner.Text() + "\n")
		if strings.Contains(scanner.Text(), "/accounts/orders") { // the last command
			break
		}
	}
	d := demo{printed: text.String()}
	d.url = find(t, d.printed, `serves (\S+)`)
	d.secret = find(t, d.printed, `nightly-report:([A-Za-z0-9_-]{16,})`)
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if r, err := http.Get(d.url + "/_/readyz"); err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return d
			}
		}
	}
	t.Fatal("never ready")
	return d
}

func find(t *testing.T, text, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("nothing like %s in\n%s", pattern, text)
	}
	return m[1]
}

// httpClient is x/oauth2's: it gets a token by itself and sends it with each request.
func (d demo) httpClient(style oauth2.AuthStyle, scopes ...string) *http.Client {
	c := clientcredentials.Config{
		ClientID: "nightly-report", ClientSecret: d.secret, TokenURL: d.url + "/acme/oauth2/token", Scopes: scopes, AuthStyle: style,
	}
	return c.Client(context.Background())
}

func TestClients(t *testing.T) {
	d := serveDemo(t)
	t.Run("x/oauth2 clientcredentials", d.oauth2)
	t.Run("go-oidc with the remote key set", d.oidc)
	t.Run("openai-go chat completion", d.completion)
	t.Run("openai-go stream", d.stream)
	t.Run("openai-go raises its own errors", d.errors)
	t.Run("the printed commands work when pasted", d.paste)
}

// oidc finds our keys by discovery, as a resource server does, and verifies a token with them.
func (d demo) oidc(t *testing.T) {
	ctx := context.Background()
	provider, err := oidc.NewProvider(ctx, d.url+"/acme/oauth2")
	if err != nil {
		t.Fatal(err)
	}
	c := clientcredentials.Config{ClientID: "nightly-report", ClientSecret: d.secret, TokenURL: provider.Endpoint().TokenURL}
	token, err := c.Token(ctx)
	if err != nil {
		t.Fatal(err)
	}
	audience, _, _ := strings.Cut(scope, "|")
	verifier := provider.Verifier(&oidc.Config{ClientID: audience, SupportedSigningAlgs: []string{oidc.ES256}})
	verified, err := verifier.Verify(ctx, token.AccessToken)
	if err != nil || verified.Subject != "nightly-report" {
		t.Errorf("%+v, %v", verified, err)
	}
	if _, err := verifier.Verify(ctx, token.AccessToken[:len(token.AccessToken)-4]+"AAAA"); err == nil {
		t.Error("a changed token verifies")
	}
	remote := oidc.NewRemoteKeySet(ctx, d.url+"/acme/oauth2/jwks")
	if _, err := remote.VerifySignature(ctx, token.AccessToken); err != nil {
		t.Error(err)
	}
}

func (d demo) oauth2(t *testing.T) {
	for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams, oauth2.AuthStyleAutoDetect} {
		for _, scopes := range [][]string{nil, {"model.invoke"}, {scope}} {
			c := clientcredentials.Config{
				ClientID: "nightly-report", ClientSecret: d.secret, TokenURL: d.url + "/acme/oauth2/token", Scopes: scopes, AuthStyle: style,
			}
			token, err := c.Token(context.Background())
			if err != nil {
				t.Fatalf("style %d, scopes %v: %v", style, scopes, err)
			}
			if left := time.Until(token.Expiry); token.TokenType != "Bearer" || left < 19*time.Minute || left > 20*time.Minute {
				t.Errorf("type %s, expires in %v", token.TokenType, left)
			}
		}
	}
	c := clientcredentials.Config{ClientID: "nightly-report", ClientSecret: "wrong", TokenURL: d.url + "/acme/oauth2/token"}
	_, err := c.Token(context.Background())
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) || refused.ErrorCode != "invalid_client" || refused.Response.StatusCode != http.StatusUnauthorized {
		t.Errorf("wrong secret: %v", err)
	}
}

func (d demo) openai() openai.Client {
	return openai.NewClient(option.WithBaseURL(d.url+"/v1"), option.WithHTTPClient(d.httpClient(oauth2.AuthStyleInHeader, scope)),
		option.WithAPIKey("not-used"), option.WithMaxRetries(0))
}

var hello = openai.ChatCompletionNewParams{
	Model:    "demo",
	Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Hello")},
}

func (d demo) completion(t *testing.T) {
	client := d.openai()
	answer, err := client.Chat.Completions.New(context.Background(), hello)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(answer.Choices[0].Message.Content, "nightly-report") || answer.Usage.TotalTokens == 0 {
		t.Errorf("%+v", answer)
	}
}

func (d demo) stream(t *testing.T) {
	client := d.openai()
	params := hello
	params.StreamOptions = openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)}
	stream := client.Chat.Completions.NewStreaming(context.Background(), params)
	all, chunks := openai.ChatCompletionAccumulator{}, 0
	for stream.Next() {
		all.AddChunk(stream.Current())
		chunks++
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	if chunks < 4 || !strings.Contains(all.Choices[0].Message.Content, "nightly-report") || all.Usage.TotalTokens == 0 {
		t.Errorf("%d chunks: %+v", chunks, all.ChatCompletion)
	}
}

func (d demo) errors(t *testing.T) {
	client := openai.NewClient(option.WithBaseURL(d.url+"/v1"), option.WithAPIKey("no.such.token"), option.WithMaxRetries(0))
	_, err := client.Chat.Completions.New(context.Background(), hello)
	var refused *openai.Error
	if !errors.As(err, &refused) || refused.StatusCode != http.StatusUnauthorized ||
		refused.Message != "JWT verification fails" || refused.Code != "jwt_verification_failed" {
		t.Errorf("%v", err)
	}
}

// paste runs the printed commands in a shell, as a person would.
func (d demo) paste(t *testing.T) {
	shell, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("curl"); err != nil {
		if os.Getenv("KEYLESS_TEST_ALL") != "" {
			t.Fatal("curl is not installed")
		}
		t.Skip("NOT RUN: curl is not installed")
	}
	_, commands, _ := strings.Cut(d.printed, "Paste these into another shell.")
	out, err := exec.Command(shell, "-c", commands).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text := string(out)
	for want, times := range map[string]int{
		"You are consumer nightly-report": 1, "data: [DONE]": 1, "JWT missing": 2, "JWT verification fails": 2,
		"Access Denied": 2, "invalid_client": 1, `"consumer":"shop"`: 1,
		"HTTP/1.1 401": 5, "HTTP/1.1 403": 2,
	} {
		if got := strings.Count(text, want); got != times {
			t.Errorf("%q stands %d times, want %d", want, got, times)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}
