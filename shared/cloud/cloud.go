// Package cloud signs requests to the clouds' own APIs with the credentials that a platform gives to a function, so that nothing of
// ours needs a cloud's secret: Bedrock for the proxy, and the services that keep a master key.
//
// A request meets it where an upstream asks for AWS Signature Version 4, and a process at most once, when the first secret is opened
// under a master key that a cloud keeps. The clouds' SDKs do as much in several megabytes, which a cold start waits for.
//
// Sources: AWS "Create a signed AWS API request" (Signature Version 4) and the KMS API reference; Alibaba Cloud "V3 request structure
// and signature" (ACS3-HMAC-SHA256) and the KMS API 2016-01-20. Nothing here is kept; safe for concurrent use.
package cloud

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// Credentials are those of a role, as the platform's environment gives them. They print as a fixed text.
type Credentials struct {
	ID, Secret, Session string
}

// String implements fmt.Stringer without telling.
func (Credentials) String() string { return "[credentials]" }

// GoString implements fmt.GoStringer without telling.
func (Credentials) GoString() string { return "[credentials]" }

// Known reports whether there are any.
func (c Credentials) Known() bool { return c.ID != "" && c.Secret != "" }

// Lookup is os.LookupEnv or a test's.
type Lookup func(name string) (string, bool)

func (l Lookup) text(name string) string {
	value, _ := l(name)
	return value
}

// AWS reads the credentials of AWS's SDKs, which Lambda sets for the function's role.
func AWS(l Lookup) Credentials {
	return Credentials{l.text("AWS_ACCESS_KEY_ID"), l.text("AWS_SECRET_ACCESS_KEY"), l.text("AWS_SESSION_TOKEN")}
}

// Alibaba reads the credentials of Alibaba Cloud's SDKs, which Function Compute sets for the function's role.
func Alibaba(l Lookup) Credentials {
	return Credentials{
		l.text("ALIBABA_CLOUD_ACCESS_KEY_ID"), l.text("ALIBABA_CLOUD_ACCESS_KEY_SECRET"), l.text("ALIBABA_CLOUD_SECURITY_TOKEN"),
	}
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func hexDigest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
