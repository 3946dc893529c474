package token

import (
	"context"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/smallstep/pkcs7"

	"keyless/shared/oauth"
	"keyless/shared/registry"
)

const (
	// maxDocument bounds a signed document, in base64: one of Alibaba Cloud's takes 2 KiB.
	maxDocument = 16 << 10
	// documentAge is how long a document proves, unless max_age says otherwise: the default of Alibaba IDaaS.
	documentAge = 20 * time.Minute
)

// provesDocument judges the signed instance-identity document of a cloud's machine: CMS SignedData (RFC 5652 §5) with
// the document inside, in base64. Alibaba Cloud signs what stands in the parameter audience into it, where its IDaaS
// clients write {"aud": …, "signingTime": …}.
func (e *endpoint) provesDocument(
	ctx context.Context, trusted []*registry.FederatedCredential, a *assertion,
) bool {
	why := "no credential of the client is of this kind"
	for _, f := range trusted {
		if why = documentWrong(f, a.text, e.now()); why == "" {
			note(ctx, slog.String("federated_credential", f.Name))
			return true
		}
	}
	if len(trusted) == 0 {
		_, _ = parseDocument(a.text)
	}
	e.wrong(ctx, why)
	return false
}

func documentWrong(f *registry.FederatedCredential, text string, now time.Time) string {
	signed, ok := parseDocument(text)
	if !ok {
		return "it is no signed document of one signer, with SHA-256 or better"
	}
	certificates, err := registry.ParseCertificates(f.Certificates)
	if err != nil {
		return "the credential's certificates cannot be read"
	}
	roots := x509.NewCertPool()
	for _, certificate := range certificates {
		roots.AddCert(certificate)
	}
	// A signer that leaves its certificate out is one of those that are trusted.
	signed.Certificates = append(signed.Certificates, certificates...)
	if len(certificates) == 0 || signed.VerifyWithChainAtTime(roots, now) != nil {
		return "no trusted certificate verifies it"
	}
	document, err := oauth.Object(signed.Content)
	if err != nil {
		return "the document is not a JSON object"
	}
	audience, at := addressed(document)
	var stamped time.Time
	if signed.UnmarshalSignedAttribute(pkcs7.OIDAttributeSigningTime, &stamped) == nil {
		at = stamped
	}
	switch age := now.Sub(at); {
	case f.Audience == "" || audience != f.Audience:
		return "the document was made for another audience"
	case at.IsZero() || age > f.MaxAge.Or(documentAge)+assertionSkew || age < -assertionSkew:
		return "the document is too old, of the future, or does not say when it was signed"
	}
	for name, pattern := range f.Claims {
		if value, ok := oauth.String(claim(document, name)); !ok || !matches(pattern, value) {
			return "the document does not say what is configured"
		}
	}
	return ""
}

// parseDocument takes one signer and the digests of today: with SHA-1 a document can be made to say something else.
func parseDocument(text string) (*pkcs7.PKCS7, bool) {
	if len(text) > maxDocument || strings.ContainsAny(text, "\r\n") {
		return nil, false
	}
	der, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || !isBER(der) {
		return nil, false
	}
	signed, err := pkcs7.Parse(der)
	if err != nil || len(signed.Signers) != 1 || len(signed.Content) == 0 {
		return nil, false
	}
	digest := signed.Signers[0].DigestAlgorithm.Algorithm
	strong := slices.ContainsFunc([]asn1.ObjectIdentifier{
		pkcs7.OIDDigestAlgorithmSHA256, pkcs7.OIDDigestAlgorithmSHA384, pkcs7.OIDDigestAlgorithmSHA512,
	}, digest.Equal)
	return signed, strong
}

// addressed reads whom the document is for, and when it was asked for: audience is a text, or JSON in a text as the
// clients of Alibaba IDaaS write it.
func addressed(document map[string]json.RawMessage) (string, time.Time) {
	text, _ := oauth.String(document["audience"])
	inner, err := oauth.Object([]byte(text))
	if err != nil {
		return text, time.Time{}
	}
	audience, _ := oauth.String(inner["aud"])
	seconds, err := strconv.ParseInt(string(inner["signingTime"]), 10, 64)
	if err != nil || seconds <= 0 {
		return audience, time.Time{}
	}
	return audience, time.Unix(seconds, 0)
}
