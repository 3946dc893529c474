package auth

import (
	"bytes"
	"io"
	"net/http"

	"keyless/shared/registry"
)

// maxSignedForm bounds a form that must be read before its signature can be checked: anybody who has seen an access key can make us
// read one. Requests that sign forms have a few fields.
const (
	maxSignedForm       = 256 << 10
	maxSignedParameters = 1000
)

// formOf reads a form that the string to sign holds, and puts it back. Without a body, as in an authorizer, a signed form cannot be
// judged, and neither can a body of the other dialect that no signed Digest stands for.
func (g *Gate) formOf(r *http.Request, s signedRequest, d *Decision) ([]byte, Reason) {
	if g.bodyless {
		if form(r) && !s.apisix || s.apisix && carriesBody(r.Method) && !s.signs("Digest") {
			d.step("body", "is signed, and this door does not see bodies")
			return nil, HMACBodyNeeded
		}
		return nil, ""
	}
	if !form(r) || s.apisix {
		return nil, ""
	}
	body, reason := readBody(r, min(maxSignedForm, bodyMax(d.API)), d)
	if bytes.Count(body, []byte("&")) >= maxSignedParameters {
		d.step("body", "has more parameters than a signed form may have")
		return nil, HMACInvalidSignature
	}
	return body, reason
}

func carriesBody(method string) bool {
	return method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch
}

// checkDigest compares the body with the digest that was signed. The signature stands by then, so it is a known caller's body.
func (g *Gate) checkDigest(r *http.Request, s signedRequest, d *Decision) Reason {
	if g.bodyless {
		return ""
	}
	var body []byte
	if r.Header.Get("Content-Md5") != "" || s.signs("Digest") {
		var reason Reason
		if body, reason = readBody(r, bodyMax(d.API), d); reason != "" {
			return reason
		}
	}
	if !s.digestFits(r, body) {
		d.step("body", "is not the one that was signed")
		return HMACInvalidDigest
	}
	return ""
}

func bodyMax(a *registry.API) int64 {
	if a.BodyMaxBytes == 0 {
		return registry.DefaultBodyMaxBytes
	}
	return a.BodyMaxBytes
}

// readBody reads the body, at most most bytes of it, and puts it back.
func readBody(r *http.Request, most int64, d *Decision) ([]byte, Reason) {
	if r.Body == nil {
		return nil, ""
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, most+1))
	if err != nil {
		d.step("body", "was cut")
		d.Certain = true
		return nil, HMACInvalidDigest
	}
	if int64(len(body)) > most {
		r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), r.Body)) // whole again, should it be decided anew
		d.step("body", "is larger than may be signed, or than the API takes")
		return nil, BodyTooLarge
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body, ""
}
