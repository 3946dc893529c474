package authorizer_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"keyless/shared/registry"
	"keyless/shared/seal"
)

// keyholder is a consumer who proves itself by something else than a token.
type keyholder struct {
	text   string
	index  []string
	fields map[string]string
}

var (
	master = func() *seal.Keys {
		keys, err := seal.ParseKeys(seal.NewMasterKey())
		if err != nil {
			panic(err) // a new key is a good one
		}
		return keys
	}()
	pepper = seal.NewPepper()

	inHeader = registry.Place{In: registry.InHeader, Name: "x-api-key"}
	inQuery  = registry.Place{In: registry.InQuery, Name: "api_key"}
)

// everything is the standard world, and consumers with API keys and access keys in it.
func everything() world {
	w := standard()
	w.apis = append(w.apis,
		`{"name":"signed","type":"http","base_path":"/signed","authentication":{"methods":["hmac"]}}`,
		`{"name":"both","type":"http","base_path":"/both","authentication":{"methods":["jwt","api_key","hmac"]}}`,
	)
	w.keyholders = []keyholder{
		keyOf("erin", `{"header":"x-api-key"}`, inHeader, "keys", "both"),
		keyOf("frank", `{"query":"api_key"}`, inQuery, "keys"),
		keyOf("greg", `{"query":"api_key"}`, inQuery, "reports"),
		signerOf("hal", "signed", "both"), signerOf("ida", "reports"),
	}
	return w
}

func may(apis []string) string {
	var list []string
	for _, api := range apis {
		list = append(list, fmt.Sprintf(`{"api":%q}`, api))
	}
	return strings.Join(list, ",")
}

// keyOf makes a consumer whose API key is its name and "-key", at the place.
func keyOf(name, source string, place registry.Place, apis ...string) keyholder {
	hash := seal.Hash(pepper, "api_key", name+"-key")
	fields := map[string]string{"keyplace:" + place.String(): "1",
		"mapped:x-mapped": "1", "mapped:x-nothing": "1"}
	for _, api := range apis {
		fields["authorized:"+api] = "1"
	}
	text := fmt.Sprintf(`{"name":%q,"authorizations":[%s],"api_key":{"source":%s,`+
		`"keys":[{"id":"1","hash":%q}]}}`, name, may(apis), source, hash)
	return keyholder{text, []string{registry.IndexAPIKey(place, hash)}, fields}
}

// signerOf makes a consumer whose access key is its name, and whose secret is its name and "-secret".
func signerOf(name string, apis ...string) keyholder {
	return keyholder{index: []string{registry.IndexHMAC(name)},
		text: fmt.Sprintf(`{"name":%q,"authorizations":[%s],"hmac":{"keys":[{"access_key":%q,"secret_key":%q}]}}`,
			name, may(apis), name, name+"-secret")}
}

// signedBy signs a call in the x-ca scheme, as a client does.
func signedBy(name string, c call, nonce string) call {
	listed := map[string]string{"x-ca-key": name, "x-ca-nonce": nonce,
		"x-ca-timestamp": strconv.FormatInt(now.UnixMilli(), 10)}
	text := c.method + "\n"
	for _, header := range []string{"Accept", "Content-Md5", "Content-Type", "Date"} {
		text += c.header.Get(header) + "\n"
	}
	for _, header := range []string{"x-ca-key", "x-ca-nonce", "x-ca-timestamp"} {
		text += header + ":" + listed[header] + "\n"
		c = c.with(header, listed[header])
	}
	path, query := c.parts()
	var pairs []string
	for pair := range strings.SplitSeq(query, "&") {
		clear, _ := url.PathUnescape(pair)
		pairs = append(pairs, clear)
	}
	slices.Sort(pairs)
	if text += path; query != "" {
		text += "?" + strings.Join(pairs, "&")
	}
	mac := hmac.New(sha256.New, []byte(name+"-secret"))
	mac.Write([]byte(text))
	return c.with("x-ca-signature-headers", "x-ca-key,x-ca-nonce,x-ca-timestamp").
		with("x-ca-signature", base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

func TestEveryDialectJudgesKeysAndSignaturesAlike(t *testing.T) {
	t.Parallel()
	key := func(c call, value string) call { return c.with("X-Api-Key", value) }
	elsewhere := func(c call, path string) call { c.path = path; return c }
	form := get("/signed").with("Content-Type", "application/x-www-form-urlencoded")
	late := signedBy("hal", get("/signed"), "n")
	late.header.Set("X-Ca-Timestamp", "1")
	for name, c := range map[string]struct {
		call    call
		broken  func(*counter)
		outcome string
		code    string
	}{
		"an API key in its header":   {key(get("/keys"), "erin-key"), nil, allowed, "allowed"},
		"an API key in the query":    {get("/keys?a=b&api_key=frank-key"), nil, allowed, "allowed"},
		"an API key that is encoded": {get("/keys?api%5Fkey=frank%2Dkey"), nil, allowed, "allowed"},
		"no API key": {get("/keys").with("X-Other", "erin-key"),
			nil, unproven, "api_key_missing"},
		"only another method's key":     {get("/keys", bearer("alice")), nil, unproven, "api_key_missing"},
		"nobody's API key":              {key(get("/keys"), "x"), nil, unproven, "api_key_invalid"},
		"an API key at another's place": {get("/keys?api_key=erin-key"), nil, unproven, "api_key_invalid"},
		"an API key that may not":       {get("/keys?api_key=greg-key"), nil, refused, "consumer_unauthorized"},
		"two API keys": {key(get("/keys?api_key=frank-key"), "erin-key"),
			nil, unproven, "api_key_multiple"},
		"one API key twice": {get("/keys?api_key=frank-key&api_key=frank-key"),
			nil, unproven, "api_key_multiple"},
		"a token where all are taken":     {get("/both", bearer("alice")), nil, refused, "access_denied"},
		"a key where all are taken":       {key(get("/both"), "erin-key"), nil, allowed, "allowed"},
		"a signature where all are taken": {signedBy("hal", get("/both"), "n"), nil, allowed, "allowed"},
		"a token and an API key": {key(get("/both", bearer("alice")), "erin-key"),
			nil, unproven, "jwt_verification_failed"},
		"a signature and an API key": {key(signedBy("hal", get("/both"), "n"), "erin-key"),
			nil, unproven, "hmac_invalid_signature"},
		"a signature":                {signedBy("hal", get("/signed/a"), "n"), nil, allowed, "allowed"},
		"a signature over the query": {signedBy("hal", get("/signed?b=c%20d&a="), "n"), nil, allowed, "allowed"},
		"a signature with Content-MD5": {signedBy("hal", get("/signed").with("Content-MD5", "bWQ1"), "n"),
			nil, allowed, "allowed"},
		"a signature for another path": {elsewhere(signedBy("hal", get("/signed"), "n"), "/signed/b"),
			nil, unproven, "hmac_invalid_signature"},
		"a signature for another query": {elsewhere(signedBy("hal", get("/signed?a=b"), "n"), "/signed?a=c"),
			nil, unproven, "hmac_invalid_signature"},
		"a signature of nobody": {signedBy("mallory", get("/signed"), "n"),
			nil, unproven, "hmac_invalid_key"},
		"a signature of another time": {late, nil, unproven, "hmac_invalid_date"},
		"a signature that may not": {signedBy("ida", get("/signed"), "n"),
			nil, refused, "consumer_unauthorized"},
		"a signature over an unseen form": {signedBy("hal", form, "n"), nil, unproven, "hmac_body_needed"},
		"a signature with a used nonce": {signedBy("hal", get("/signed"), "n"), func(c *counter) {
			c.used = map[string]bool{registry.NonceKey("hal", "n"): true}
		}, unproven, "hmac_replayed_nonce"},
		"a signature, judged twice since knowledge was old": {signedBy("hal", get("/signed"), "n"),
			func(c *counter) { c.stale = 1 }, allowed, "allowed"},
		"a signature, and no memory for nonces": {signedBy("hal", get("/signed"), "n"),
			func(c *counter) { c.err = errDown }, failed, "store_unavailable"},
		"a path trick with a good key": {key(get("/open/../keys"), "erin-key"), nil, refused, "bad_request"},
	} {
		for dialect, askIn := range dialects {
			if !tells(dialect, c.call) {
				continue
			}
			t.Run(dialect+"/"+name, func(t *testing.T) {
				t.Parallel()
				counts := &counter{limit: 100}
				if c.broken != nil {
					c.broken(counts)
				}
				outcome, code := askIn(t, open(everything().store(t), counts), c.call)
				if outcome != c.outcome || code != "" && code != c.code {
					t.Errorf("got %s %s, want %s %s", outcome, code, c.outcome, c.code)
				}
			})
		}
	}
}

// What a TOKEN event brings stands for Authorization, whatever header the authorizer takes it from.
func TestATokenEventIsAnAuthorizationHeader(t *testing.T) {
	t.Parallel()
	w := everything()
	w.keyholders = append(w.keyholders, keyOf("zoe", `"bearer"`, registry.BearerPlace, "keys"))
	for value, want := range map[string]string{
		"Bearer zoe-key": allowed, "erin-key": unproven, "frank-key": unproven, "Bearer erin-key": unproven} {
		outcome, _ := dialects["REST TOKEN"](t, open(w.store(t), &counter{limit: 9}), get("/keys", value))
		if outcome != want {
			t.Errorf("%s: %s", value, outcome)
		}
	}
}

func TestASignatureThatDoesNotFitIsExplained(t *testing.T) {
	t.Parallel()
	c := signedBy("hal", get("/signed?a=b"), "n")
	c.path = "/signed?a=c"
	want := fmt.Sprintf("Server StringToSign:`GET#####x-ca-key:hal#x-ca-nonce:n#x-ca-timestamp:%d#/signed?a=c`",
		now.UnixMilli())
	for name, request := range forwardAuth {
		a := open(everything().store(t), &counter{limit: 9})
		if got := serve(a, request(c)).Header.Get("X-Ca-Error-Message"); got != want {
			t.Errorf("%s: got  %s\nwant %s", name, got, want)
		}
		good := signedBy("hal", get("/signed?a=b"), "n")
		for _, other := range []call{good, good, signedBy("mallory", get("/signed"), "n"), get("/keys")} {
			if got := serve(a, request(other)).Header.Get("X-Ca-Error-Message"); got != "" {
				t.Errorf("%s: on another answer: %s", name, got)
			}
		}
	}
}
