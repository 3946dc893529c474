package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"keyless/shared/config"
)

// askAdmin posts JSON to a path of the admin API below /_/admin/v1/ and reads at most most bytes of the answer. It follows no redirect:
// the token is for this gateway.
func askAdmin(
	ctx context.Context, base string, token config.Secret, path string, body []byte, most int64,
) (int, []byte, error) {
	if token == "" {
		return 0, nil, usage{errors.New("the admin API asks for a token: set KEYLESS_ADMIN_TOKEN to the gateway's")}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/_/admin/v1/"+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, usage{errors.New("--url is no URL")}
	}
	r.Header.Set("Authorization", "Bearer "+token.Reveal())
	r.Header.Set("Content-Type", "application/json")
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(r)
	if err != nil {
		return 0, nil, fmt.Errorf("call the admin API: %w", err)
	}
	defer answer.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(answer.Body, most))
	if err != nil {
		return 0, nil, fmt.Errorf("read the admin API's answer: %w", err)
	}
	return answer.StatusCode, reply, nil
}

// baseURL reads --url: scheme and host.
func baseURL(text string) (string, error) {
	u, err := url.Parse(strings.TrimSuffix(text, "/"))
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.Path != "" || u.RawQuery != "" {
		return "", usage{errors.New("--url is scheme and host, such as https://id.acme.example")}
	}
	return u.String(), nil
}
