package demo_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"keyless/shared/demo"
)

var key = []byte("0123456789abcdef0123456789abcdef")

func accounts() http.Handler {
	return demo.Accounts(key, "u-1", func() time.Time { return time.Unix(1_800_000_000, 0) })
}

func TestLoginSignsItsOwnToken(t *testing.T) {
	t.Parallel()
	w := ask(t, accounts(), "POST", "/accounts/login", `{"username":"demo","password":"demo"}`, nil)
	token, _ := decode(t, w.Body.String())["token"].(string)
	parts := strings.Split(token, ".")
	if w.Code != 200 || len(parts) != 3 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(parts[0] + "." + parts[1]))
	if parts[2] != base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) {
		t.Error("the signature is another")
	}
	header, _ := base64.RawURLEncoding.DecodeString(parts[0])
	if string(header) != `{"alg":"HS256","typ":"JWT","kid":"demo"}` {
		t.Errorf("header %s", header)
	}
	raw, _ := base64.RawURLEncoding.DecodeString(parts[1])
	claims := decode(t, string(raw))
	want := map[string]any{"uid": "u-1", "iat": 1_800_000_000.0, "nbf": 1_799_999_940.0, "exp": 1_800_007_200.0}
	for name, value := range want {
		if claims[name] != value {
			t.Errorf("%s: %v", name, claims[name])
		}
	}
	if jti, _ := claims["jti"].(string); len(claims) != 5 || len(jti) < 26 {
		t.Errorf("claims %s", raw)
	}
	cookie := w.Header().Get("Set-Cookie")
	if !strings.HasPrefix(cookie, "session=") || !strings.HasSuffix(cookie, "; Path=/accounts; HttpOnly") {
		t.Errorf("cookie %q", cookie)
	}
}

func TestLoginRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		body   string
		status int
	}{
		"a wrong password":     {`{"username":"demo","password":"demo2"}`, 401},
		"a wrong name":         {`{"username":"demo2","password":"demo"}`, 401},
		"nothing in it":        {`{}`, 401},
		"no JSON":              {`username=demo`, 400},
		"a body over the size": {`{"username":"` + strings.Repeat("d", 5000) + `"}`, 400},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := ask(t, accounts(), "POST", "/accounts/login", test.body, nil)
			if w.Code != test.status || w.Header().Get("Set-Cookie") != "" || strings.Contains(w.Body.String(), "token") {
				t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
			}
		})
	}
}

func TestLoginPageRedirects(t *testing.T) {
	t.Parallel()
	w := ask(t, accounts(), "GET", "/accounts/login", "", nil)
	if w.Code != 302 || w.Header().Get("Location") != "/accounts/welcome" || w.Header().Get("Set-Cookie") == "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if w := ask(t, accounts(), "GET", "/accounts/welcome", "", nil); w.Code != 200 {
		t.Errorf("welcome: %d", w.Code)
	}
	if w := ask(t, accounts(), "DELETE", "/accounts/login", "", nil); w.Code != 405 || w.Header().Get("Allow") == "" {
		t.Errorf("DELETE: %d %v", w.Code, w.Header())
	}
	if w := ask(t, accounts(), "GET", "/accounts/other", "", nil); w.Code != 404 {
		t.Errorf("other: %d", w.Code)
	}
}

func TestOrdersTellWhatArrived(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]http.Header{
		"with both": {"Authorization": {"Bearer x"}, "X-Consumer": {"partner"}}, "with neither": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := ask(t, accounts(), "GET", "/accounts/orders", "", header)
			out := decode(t, w.Body.String())
			if w.Code != 200 || out["consumer"] != header.Get("X-Consumer") || out["authorization"] != (len(header) > 0) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
}
