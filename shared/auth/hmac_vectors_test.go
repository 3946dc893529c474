package auth_test

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"hash"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"keyless/shared/auth"
	"keyless/shared/registry"
)

const (
	jsonType = "application/json"
	formType = "application/x-www-form-urlencoded"
)

// hmacVector is a published signature, recomputed: what is sent, what is signed, and when.
type hmacVector struct {
	secret, method, target, body string
	headers                      []string
	text, signature              string
	at                           string // RFC 3339; "": the vector has no signed time, and a door refuses it
}

// caVectors are of the Higress plugin hmac-auth. Its own TimestampCheck signatures do not fit their secret; these do.
var caVectors = map[string]hmacVector{
	"a nonce and a time in milliseconds": {
		"appSecret", "GET", "/Third/Tools/checkSign", "",
		[]string{"Accept: " + jsonType, "Content-Type: " + jsonType, "X-Ca-Key: appKey",
			"X-Ca-Nonce: 787dd0c2-7bd8-41cd-9c19-62c05ea524a2", "X-Ca-Timestamp: 1646365291734",
			"X-Ca-Signature-Headers: x-ca-key,x-ca-nonce,x-ca-timestamp"},
		"GET\napplication/json\n\napplication/json\n\nx-ca-key:appKey\n" +
			"x-ca-nonce:787dd0c2-7bd8-41cd-9c19-62c05ea524a2\nx-ca-timestamp:1646365291734\n/Third/Tools/checkSign",
		"EdJSFAMOWyXZOpXhevZnjuS0ZafnwnCqaSk5hz+tXo8=", "2022-03-04T03:41:31Z",
	},
	"nothing but accept": {
		"appSecret", "GET", "/Third/Tools/checkSign", "", []string{"Accept: " + jsonType, "X-Ca-Key: appKey"},
		"GET\napplication/json\n\n\n\n/Third/Tools/checkSign", "ZpJhkHdtjLTJiR6CJWHL8ikLtPB2z6CoztG21wG3PT4=", "",
	},
	"a form": {
		"appSecret", "POST", "/Third/User/getNyAccessToken", "nickname=nickname&room_id=6893&uuid=uuid&photo=photo",
		[]string{"Accept: " + jsonType, "Content-Type: " + formType, "X-Ca-Key: appKey",
			"X-Ca-Nonce: ca5a6753-b76c-4fff-a9d9-e5bb643e8cdf", "X-Ca-Timestamp: 1646646682418",
			"X-Ca-Signature-Headers: x-ca-key,x-ca-nonce,x-ca-timestamp"},
		"POST\napplication/json\n\napplication/x-www-form-urlencoded\n\nx-ca-key:appKey\n" +
			"x-ca-nonce:ca5a6753-b76c-4fff-a9d9-e5bb643e8cdf\nx-ca-timestamp:1646646682418\n" +
			"/Third/User/getNyAccessToken?nickname=nickname&photo=photo&room_id=6893&uuid=uuid",
		"gmf9xq0hc95Hmt+7G+OocS009ka3v1v0rvfshKzYc3w=", "2022-03-07T09:51:22Z",
	},
	"a query and a date": {
		"123456", "POST", "/http2test/test?param1=test&username=xiaoming&password=123456789", "",
		[]string{"Accept: application/json; charset=utf-8", "Content-Type: " + formType + "; charset=utf-8",
			"Date: Wed, 09 May 2018 13:30:29 GMT+00:00", "X-Ca-Key: 203753385",
			"X-Ca-Nonce: c9f15cbf-f4ac-4a6c-b54d-f51abf4b5b44", "X-Ca-Signature-Method: HmacSHA256",
			"X-Ca-Timestamp: 1525872629832",
			"X-Ca-Signature-Headers: X-Ca-Timestamp,X-Ca-Key,X-Ca-Nonce,X-Ca-Signature-Method"},
		"POST\napplication/json; charset=utf-8\n\napplication/x-www-form-urlencoded; charset=utf-8\n" +
			"Wed, 09 May 2018 13:30:29 GMT+00:00\nx-ca-key:203753385\n" +
			"x-ca-nonce:c9f15cbf-f4ac-4a6c-b54d-f51abf4b5b44\nx-ca-signature-method:HmacSHA256\n" +
			"x-ca-timestamp:1525872629832\n/http2test/test?param1=test&password=123456789&username=xiaoming",
		"FJbhmAFYz9zfl1FrThxzxBt79BvaHQIzy8Wpctn+xXE=", "2018-05-09T13:30:29Z",
	},
}

// withoutDate are the two recomputed TimestampCheck vectors: the fourth vector without its Date.
func withoutDate(stamp, signature string) hmacVector {
	v := caVectors["a query and a date"]
	v.headers = slices.DeleteFunc(slices.Clone(v.headers), func(h string) bool {
		return strings.HasPrefix(h, "Date") || strings.HasPrefix(h, "X-Ca-Timestamp:")
	})
	v.headers = append(v.headers, "X-Ca-Timestamp: "+stamp)
	v.text = strings.Replace(v.text, "Wed, 09 May 2018 13:30:29 GMT+00:00", "", 1)
	v.text = strings.Replace(v.text, "1525872629832", stamp, 1)
	v.signature = signature
	return v
}

// apisixVectors are of the Higress plugin hmac-auth-apisix.
var apisixVectors = map[string]hmacVector{
	"target and date": {"2bda943c-ba2b-11ec-ba07-00163e1250b5", "POST", "/foo", "",
		[]string{"Date: Fri, 12 Sep 2025 23:53:18 GMT"},
		"consumer1-key\nPOST /foo\ndate: Fri, 12 Sep 2025 23:53:18 GMT\n",
		"746z4VISwZehUwZdzTV486ZMMbBtakmMHKPfs/A4RdU=", "2025-09-12T23:53:18Z"},
	"another consumer": {"c8c8e9ca-558e-4a2d-bb62-e700dcc40e35", "POST", "/foo", "",
		[]string{"Date: Fri, 12 Sep 2025 23:59:01 GMT"},
		"consumer2-key\nPOST /foo\ndate: Fri, 12 Sep 2025 23:59:01 GMT\n",
		"dltotPwd4iWGGz//kuehPJlHXZemR5WKwCPAJD/KPhE=", "2025-09-12T23:59:01Z"},
}

func mac(secret, text string) string { return macBy(sha256.New, secret, text) }

func macBy(algorithm func() hash.Hash, secret, text string) string {
	m := hmac.New(algorithm, []byte(secret))
	m.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}

func md5Of(body string) string {
	sum := md5.Sum([]byte(body))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// signing is a consumer with an access key; its secret may be as short as those of the vectors, which Apply refuses.
func signing(t *testing.T, w *world, accessKey, secret string, change ...func(*registry.Consumer)) {
	t.Helper()
	c := registry.Consumer{
		Name:           "c-" + accessKey,
		HMAC:           &registry.HMACCredential{Keys: []registry.HMACKey{{AccessKey: accessKey, SecretKey: registry.Secret(secret)}}},
		Authorizations: may("signed", "small"),
	}
	for _, f := range change {
		f(&c)
	}
	w.addSigning(c)
}

func (w *world) addSigning(c registry.Consumer) {
	w.t.Helper()
	change := registry.Change{Kind: registry.KindConsumer, Name: c.Name, Entry: &registry.Entry{Value: text(c)}, Revision: true}
	for _, key := range c.HMAC.Keys {
		change.Index = append(change.Index, registry.IndexHMAC(key.AccessKey))
	}
	if err := w.store.Write(w.t.Context(), change); err != nil {
		w.t.Fatal(err)
	}
}

func (v hmacVector) request(signature string) *http.Request {
	r := send(v.method, "http://gateway.example"+v.target, v.body, v.headers...)
	r.Header.Set("X-Ca-Signature", signature)
	return r
}

func (v hmacVector) apisix(accessKey, signature string) *http.Request {
	r := send(v.method, "http://gateway.example"+v.target, v.body, v.headers...)
	r.Header.Set("Authorization", `Signature keyId="`+accessKey+`",algorithm="hmac-sha256",headers="@request-target date",signature="`+
		signature+`"`)
	return r
}

func TestVectorsOfTheCaScheme(t *testing.T) {
	t.Parallel()
	vectors := map[string]hmacVector{
		"the time alone, in milliseconds": withoutDate("1525872629832", "aKS8DtmSjdNns8+uk3eVFZNpY4MxhK2z4Zb7XH8NoLE="),
		"the time alone, in seconds":      withoutDate("1525872629", "oFlnmkAPv45BVLLajfk7avGBwDFjOu0VElMrNyCFlGs="),
	}
	for name, v := range caVectors {
		vectors[name] = v
	}
	for name, v := range vectors {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, problem := auth.StringToSign(v.request(v.signature), []byte(v.body))
			if got != v.text || problem != "" {
				t.Fatalf("signed %q, %q; want %q", got, problem, v.text)
			}
			if mac(v.secret, got) != v.signature {
				t.Fatalf("signature %s", mac(v.secret, got))
			}
			s := newSigner(t)
			key := v.request("").Header.Get("X-Ca-Key")
			signing(t, s.world, key, v.secret)
			if v.at == "" {
				s.want("without a signed time", v.request(v.signature), auth.HMACInvalidDate)
				return
			}
			s.now = must(time.Parse(time.RFC3339, v.at))
			r := v.request(v.signature)
			s.want("the vector", r, "")
			if v.body != "" && bodyOf(t, r) != v.body {
				t.Error("the body is gone")
			}
			s.want("again", v.request(v.signature), auth.HMACReplayedNonce)
			v.target += "x"
			d := s.want("another path", v.request(v.signature), auth.HMACInvalidSignature)
			if strings.Contains(d.StringToSign+d.CaErrorMessage(), v.secret) && v.secret != "123456" || d.CaErrorMessage() == "" {
				t.Errorf("the server's string: %q", d.CaErrorMessage())
			}
		})
	}
}

func TestVectorsOfTheAPISIXDialect(t *testing.T) {
	t.Parallel()
	keys := map[string]string{"target and date": "consumer1-key", "another consumer": "consumer2-key"}
	for name, v := range apisixVectors {
		r := v.apisix(keys[name], v.signature)
		if got, problem := auth.StringToSign(r, nil); got != v.text || problem != "" || mac(v.secret, got) != v.signature {
			t.Errorf("%s: %q %q", name, got, problem)
		}
		s := newSigner(t)
		signing(t, s.world, keys[name], v.secret)
		s.now = must(time.Parse(time.RFC3339, v.at))
		s.want(name, r, "")
		s.want(name+", another key's", v.apisix("consumer9-key", v.signature), auth.HMACInvalidKey)
	}
	custom := hmacVector{method: "POST", target: "/foo", headers: []string{
		"X-Custom-Header-A: test1", "X-Custom-Header-B: test2", "Date: Sat, 13 Sep 2025 00:04:34 GMT"}}
	for signature, date := range map[string]string{
		"KoOlbkDIR/JzlKK47eURewnIpmhpkQU+KIyBUhqVfmo=": "Sat, 13 Sep 2025 00:04:34 GMT",
		"NcA+44FFtl2rjNvV28wSn8Rln02i4i2tFXKp3/ahyYA=": "Sat, 13 Sep 2025 00:09:40 GMT",
	} {
		found := ""
		for _, key := range []string{"consumer1-key", "consumer2-key"} {
			for _, secret := range []string{"2bda943c-ba2b-11ec-ba07-00163e1250b5", "c8c8e9ca-558e-4a2d-bb62-e700dcc40e35"} {
				r := custom.apisix(key, "AAAA")
				r.Header.Set("Date", date)
				r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "date",
					"date x-custom-header-a x-custom-header-b", 1))
				if got, _ := auth.StringToSign(r, nil); mac(secret, got) == signature {
					found = key
				}
			}
		}
		if found == "" {
			t.Errorf("the vector of %s does not reproduce", date)
		}
	}
}

func TestVectorsOfDigests(t *testing.T) {
	t.Parallel()
	if md5Of("abc") != "kAFQmDzST7DWlj99KOF/cg==" || digestOf("{}") != "SHA-256=RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=" {
		t.Error("the digests of the reference do not reproduce")
	}
}

func digestOf(body string) string {
	sum := sha256.Sum256([]byte(body))
	return "SHA-256=" + base64.StdEncoding.EncodeToString(sum[:])
}

// signer is a world whose clock stands where a signature was made, and whose nonces are remembered.
type signer struct {
	*world
	now    time.Time
	nonces *once
	gate   func(*auth.Gate) *auth.Gate
}

func newSigner(t *testing.T) *signer {
	t.Helper()
	s := &signer{world: newWorld(t), now: now, nonces: &once{used: map[string]bool{}}, gate: func(g *auth.Gate) *auth.Gate { return g }}
	s.set("api:signed", api("signed", "hmac"))
	small := api("small", "hmac")
	small.BodyMaxBytes = 10
	s.set("api:small", small)
	proxied := api("proxied", "hmac")
	proxied.Upstreams = []registry.Target{{Upstream: "u"}}
	s.set("api:proxied", proxied)
	s.set("api:every", api("every", "jwt", "api_key", "hmac"))
	return s
}

func (s *signer) want(what string, r *http.Request, want auth.Reason) auth.Decision {
	s.t.Helper()
	return s.wantOn(what, r, "signed", want)
}

func (s *signer) wantOn(what string, r *http.Request, api string, want auth.Reason) auth.Decision {
	s.t.Helper()
	d, err := s.judge(r, api)
	if err != nil || d.Reason != want || d.Allowed != (want == "") {
		s.t.Errorf("%s: %q %v, want %q\n%v\n%q", what, d.Reason, err, want, d.Trace, d.StringToSign)
	}
	return d
}

func (s *signer) judge(r *http.Request, api string) (auth.Decision, error) {
	now := s.now
	at := func() time.Time { return now }
	gate := s.gate(auth.New(s.keys, "https://gateway.example", at).WithNonces(s.nonces))
	var d auth.Decision
	err := registry.NewReader(s.store, nil, at).Consult(s.t.Context(), func(v registry.View) (registry.Result, error) {
		var err error
		d, err = gate.Decide(s.t.Context(), v, r, v.APIs[api])
		return d.Result(), err
	})
	return d, err
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
