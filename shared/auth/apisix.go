package auth

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // only for keys that allow it
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
)

// The other dialect of HMAC: `Authorization: Signature keyId="…",algorithm="hmac-sha256",headers="@request-target date …",
// signature="…"`, as APISIX has it and Higress took it over. There Date and Digest can be replaced unless the client signs them, so
// here the request target and Date must be signed, and Digest wherever there is a body.

const signatureScheme = "Signature "

// authorizationSignatures returns the parameters of each signature of this dialect that a request has.
func authorizationSignatures(r *http.Request) []string {
	var all []string
	for _, value := range r.Header["Authorization"] {
		if params, is := strings.CutPrefix(value, signatureScheme); is {
			all = append(all, params)
		}
	}
	return all
}

func parseAPISIX(params string) (signedRequest, Reason) {
	fields := map[string]string{}
	for pair := range strings.SplitSeq(params, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		quoted := len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"'
		if _, twice := fields[name]; twice || !quoted {
			return signedRequest{}, HMACInvalidSignature
		}
		fields[name] = value[1 : len(value)-1]
	}
	sent := signedRequest{accessKey: fields["keyId"], headers: strings.Fields(fields["headers"]), apisix: true}
	switch fields["algorithm"] {
	case "hmac-sha256":
		sent.algorithm = sha256.New
	case "hmac-sha512":
		sent.algorithm = sha512.New
	case "hmac-sha1":
		sent.algorithm, sent.sha1 = sha1.New, true
	default:
		return sent, HMACInvalidSignature
	}
	if sent.accessKey == "" {
		return sent, HMACInvalidKey
	}
	if fields["signature"] == "" {
		return sent, HMACEmptySignature
	}
	var err error
	sent.signature, err = base64.StdEncoding.DecodeString(fields["signature"])
	if err != nil || !slices.Contains(sent.headers, "@request-target") || len(sent.headers) > maxSignedHeaders {
		return sent, HMACInvalidSignature
	}
	return sent, ""
}

// apisixString is the key id and each listed header on a line of its own; a header that is absent has none.
func (s signedRequest) apisixString(r *http.Request) string {
	var b strings.Builder
	b.WriteString(s.accessKey + "\n")
	for _, name := range s.headers {
		if name == "@request-target" {
			target := r.URL.EscapedPath()
			if r.URL.RawQuery != "" {
				target += "?" + r.URL.RawQuery
			}
			b.WriteString(r.Method + " " + target + "\n")
			continue
		}
		if value := fieldValue(r, name); value != "" {
			b.WriteString(name + ": " + value + "\n")
		}
	}
	return b.String()
}

// apisixDigestFits holds a body to a signed Digest: without one, only a request without a body passes.
func (s signedRequest) apisixDigestFits(r *http.Request, body []byte) bool {
	if !s.signs("Digest") || r.Header.Get("Digest") == "" {
		return r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody
	}
	sum := sha256.Sum256(body)
	want := "SHA-256=" + base64.StdEncoding.EncodeToString(sum[:])
	return hmac.Equal([]byte(want), []byte(r.Header.Get("Digest")))
}
