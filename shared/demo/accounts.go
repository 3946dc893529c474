package demo

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"
)

const (
	// maxLogin bounds a login body: two short strings.
	maxLogin = 4 << 10
	// tokenLifetime is how long a token of the backend is good; notBefore allows for clocks that differ.
	tokenLifetime = 2 * time.Hour
	notBefore     = time.Minute
)

// Accounts is a plain HTTP backend with a login of its own, as the gateway finds it in front of existing
// systems: POST /accounts/login with {"username":"demo","password":"demo"} answers {"token":"<JWT>"} and a
// cookie, GET /accounts/login redirects to /accounts/welcome with a cookie, GET /accounts/orders tells which
// consumer and whether an Authorization header arrived. The token is HS256 under key with claims uid, iat,
// nbf, exp and jti. Safe for concurrent use.
func Accounts(key []byte, uid string, now func() time.Time) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /accounts/login", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Username, Password string }
		if json.NewDecoder(http.MaxBytesReader(w, r.Body, maxLogin)).Decode(&in) != nil {
			say(w, http.StatusBadRequest, "Send username and password as JSON.")
			return
		}
		given := sha256.Sum256([]byte(in.Username + "\x00" + in.Password))
		want := sha256.Sum256([]byte("demo\x00demo"))
		if subtle.ConstantTimeCompare(given[:], want[:]) != 1 {
			say(w, http.StatusUnauthorized, "Wrong username or password.")
			return
		}
		setSession(w)
		writeJSON(w, http.StatusOK, map[string]string{"token": sign(key, uid, now())})
	})
	mux.HandleFunc("GET /accounts/login", func(w http.ResponseWriter, _ *http.Request) {
		setSession(w)
		w.Header().Set("Location", "/accounts/welcome")
		w.WriteHeader(http.StatusFound)
	})
	mux.HandleFunc("GET /accounts/welcome", func(w http.ResponseWriter, _ *http.Request) {
		say(w, http.StatusOK, "Welcome.")
	})
	mux.HandleFunc("GET /accounts/orders", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{
			"orders":        []string{"A-1001", "A-1002"},
			"consumer":      r.Header.Get("X-Consumer"),
			"authorization": len(r.Header.Values("Authorization")) > 0,
		})
	})
	return mux
}

// say answers with one sentence.
func say(w http.ResponseWriter, status int, sentence string) {
	writeJSON(w, status, map[string]string{"message": sentence})
}

// setSession sets the cookie that a browser would keep.
func setSession(w http.ResponseWriter) {
	http.SetCookie(w, &http.Cookie{Name: "session", Value: rand.Text(), Path: "/accounts", HttpOnly: true})
}

// sign makes the backend's own JWT, compact form (RFC 7515 section 7.1).
func sign(key []byte, uid string, now time.Time) string {
	header := part(struct {
		Alg string `json:"alg"`
		Typ string `json:"typ"`
		Kid string `json:"kid"`
	}{"HS256", "JWT", "demo"})
	claims := part(struct {
		UID string `json:"uid"`
		Iat int64  `json:"iat"`
		Nbf int64  `json:"nbf"`
		Exp int64  `json:"exp"`
		Jti string `json:"jti"`
	}{uid, now.Unix(), now.Add(-notBefore).Unix(), now.Add(tokenLifetime).Unix(), rand.Text()})
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(header + "." + claims))
	return header + "." + claims + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// part encodes one part of a token; structs of strings and numbers always encode.
func part(value any) string {
	data, _ := json.Marshal(value)
	return base64.RawURLEncoding.EncodeToString(data)
}
