package token

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"keyless/shared/oauth"
)

const (
	// maxBody bounds the body: an id, a secret and a list of scopes take a fraction of it.
	maxBody = 8 << 10
	// maxAssertedBody bounds one with an assertion or a token, each of which may have 8 KiB, and a chain of certificates.
	maxAssertedBody = 64 << 10
)

// The parameters that we read.
const (
	paramGrantType     = "grant_type"
	paramClientID      = "client_id"
	paramClientSecret  = "client_secret"
	paramAssertion     = "client_assertion"
	paramAssertionType = "client_assertion_type"
	paramScope         = "scope"
	paramResource      = "resource"
	paramAudience      = "audience"
	paramToken         = "token" // RFC 7009 §2.1, RFC 7662 §2.1; token_type_hint is passed over

	// Those of RFC 8693 §2.1.
	paramSubjectToken     = "subject_token"
	paramSubjectTokenType = "subject_token_type"
	paramActorToken       = "actor_token"
	paramActorTokenType   = "actor_token_type"
	paramRequestedType    = "requested_token_type"

	// Those of Alibaba IDaaS.
	paramCredentialName = "application_federated_credential_name"
	paramCertificate    = "client_x509"
	paramChain          = "client_x509_chain"
)

// form holds the parameters of the body by name. Empty ones are absent (RFC 6749 §3.2), so every list has a
// member that is not empty.
type form map[string][]string

// one returns a parameter that is sent once, "" where it is absent.
func (f form) one(name string) string {
	if len(f[name]) == 0 {
		return ""
	}
	return f[name][0]
}

// grant judges the grant type, which needs no client.
func (f form) grant() reason {
	switch f.one(paramGrantType) {
	case "":
		return noGrantType
	case oauth.GrantClientCredentials, oauth.GrantTokenExchange:
		return none
	}
	return otherGrantType
}

// readForm reads the body strictly (RFC 6749 §3.2, App. B). The query is never read, but a credential in it
// is refused, for it stands in logs by now.
func readForm(w http.ResponseWriter, r *http.Request) (form, reason) {
	if secretIn(r.URL.RawQuery) {
		return nil, secretInQuery
	}
	if !isForm(r.Header) {
		return nil, notForm
	}
	if r.ContentLength > maxAssertedBody {
		return nil, tooLarge
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAssertedBody))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, tooLarge
	}
	if err != nil {
		return nil, unreadable
	}
	parsed, refused := parseForm(string(text))
	if len(text) > maxBody && !slices.ContainsFunc(credentials, func(p string) bool { return parsed.one(p) != "" }) {
		return nil, tooLarge
	}
	return parsed, refused
}

func isForm(header http.Header) bool {
	if len(header["Content-Type"]) != 1 {
		return false
	}
	kind, parameters, err := mime.ParseMediaType(header.Get("Content-Type"))
	charset, named := parameters["charset"]
	return err == nil && kind == "application/x-www-form-urlencoded" &&
		(!named || strings.EqualFold(charset, "utf-8"))
}

// secretIn looks for a credential among the readable pairs of a query.
func secretIn(query string) bool {
	values, _ := url.ParseQuery(query) // returns what it could read
	return values.Has(paramClientSecret) || slices.ContainsFunc(credentials, values.Has)
}

// credentials are the parameters that hold a token.
var credentials = []string{paramAssertion, paramToken, paramSubjectToken, paramActorToken}

// parseForm decodes pairs separated by &. A parameter that stands twice is refused whatever its value, for
// two readers could take one each.
func parseForm(text string) (form, reason) {
	sent := map[string]int{}
	values := form{}
	for pair := range strings.SplitSeq(text, "&") {
		if pair == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, errName := url.QueryUnescape(rawName)
		value, errValue := url.QueryUnescape(rawValue)
		if errName != nil || errValue != nil || !utf8.ValidString(name) || !utf8.ValidString(value) {
			return nil, malformed
		}
		sent[name]++
		if sent[name] > 1 && name != paramResource && name != paramAudience {
			return nil, sentTwice
		}
		if value != "" {
			values[name] = append(values[name], value)
		}
	}
	return values, none
}
