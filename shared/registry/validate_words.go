package registry

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"keyless/shared/oauth"
	"keyless/shared/seal"
)

// Bounds of texts. They keep an entry small enough to be read on a request.
const (
	maxText       = 10000 // characters of a description: the console's own limit
	maxTitle      = 255   // characters of a name for people
	maxIdentifier = 255   // characters of an identifier, a claim's value or an audience
	maxSecret     = 8 << 10
	maxPrefix     = 64
	maxURL        = 2 << 10
)

// A judgement is what is wrong with a text and what to write instead, without the text; empty: nothing.

func judgeText(text string, most int) string {
	if utf8.RuneCountInString(text) > most {
		return "is too long; write at most " + itoa(most) + " characters"
	}
	for _, r := range text {
		if r == utf8.RuneError || !unicode.IsPrint(r) && r != '\n' && r != '\t' {
			return "has a character that does not print; write plain text"
		}
	}
	return ""
}

// judgeWord judges what is compared as a whole, such as an issuer: one line without a space at its ends.
func judgeWord(word string) string {
	if word != strings.TrimSpace(word) || strings.ContainsAny(word, "\n\t") {
		return "has a line break or a space at its ends; write the bare text"
	}
	return judgeText(word, maxIdentifier)
}

func judgeURL(text string) string {
	const instead = "; write an absolute URL such as https://host/path"
	u, err := url.Parse(text)
	switch {
	case err != nil || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return "is not a URL" + instead
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.Opaque != "":
		return "is not an absolute http or https URL" + instead
	case u.User != nil:
		return "has a user or password in it" + instead
	case strings.Contains(text, "#"):
		return "has a fragment" + instead
	case len(text) > maxURL:
		return "is too long; write at most 2 KiB"
	}
	return ""
}

func judgeBaseURL(text string) string {
	if strings.Contains(text, "?") {
		return "has a query; write the URL that stands before a call's own path and query"
	}
	return judgeURL(text)
}

// ourHeaders are set or dropped by the gateway itself: those between two hops (RFC 9110 §7.6.1), those of
// the message's frame, and those that name the caller and the request to the upstream.
var ourHeaders = []string{
	"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "Te",
	"Trailer", "Transfer-Encoding", "Upgrade", "Host", "Content-Length", "X-Consumer", "X-Request-Id",
}

func judgeHeader(name string) string {
	switch {
	case !isToken(name):
		return "is not a header's name; write letters, digits and - such as X-User"
	case slices.Contains(ourHeaders, http.CanonicalHeaderKey(name)):
		return "is a header that the gateway itself sets or drops; write another"
	}
	return ""
}

// isToken reports whether a text is a token of RFC 9110 §5.6.2 of bounded length.
func isToken(text string) bool {
	for i := range len(text) {
		c := text[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return text != "" && len(text) <= 128
}

// judgeHeaderValue judges RFC 9110 §5.5: no line breaks, so that a value never becomes two headers.
func judgeHeaderValue(value string) string {
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return "has a control character or a line break; write one line"
		}
	}
	if value != strings.TrimSpace(value) || !utf8.ValidString(value) {
		return "has a space at its ends or is not UTF-8; write the bare value"
	}
	if len(value) > maxSecret {
		return "is too long; write at most 8 KiB"
	}
	return ""
}

// judgePrefix judges what stands before a credential; its last character may be a space, its first not.
func judgePrefix(prefix string) string {
	for i := range len(prefix) {
		if c := prefix[i]; c < ' ' || c > '~' || c == ' ' && i == 0 {
			return `is not a prefix; write printable ASCII that does not begin with a space, such as "Bearer "`
		}
	}
	if len(prefix) > maxPrefix {
		return "is too long; write at most 64 characters"
	}
	return ""
}

func judgeBasePath(path string) string {
	switch {
	case path == "":
		return "is required and not empty; write / or a path such as /v1"
	case !strings.HasPrefix(path, "/"):
		return "does not begin with /; write a path such as /v1"
	case len(path) > 1 && strings.HasSuffix(path, "/"):
		return "ends with /; leave the last / out: whole segments are compared"
	}
	u, err := url.ParseRequestURI(path)
	if err == nil && u.RawQuery == "" && !u.ForceQuery {
		var canonical string
		canonical, err = CanonicalPath(&http.Request{URL: u})
		if err == nil && canonical == path {
			return ""
		}
	}
	return "is not a canonical path; write whole segments without query, . or .. segments or needless %XX"
}

// judgeRulePath judges the path of a Rule. One that no canonical path can equal would select nothing, and a blacklist would be open.
func judgeRulePath(r Rule) string {
	switch r.Match {
	case MatchRegex:
		if _, err := compilePattern(r.Path); err != nil {
			return "is not a regular expression of RE2; write one that is"
		}
		return ""
	case MatchSuffix:
		if u, err := url.PathUnescape(r.Path); err != nil || strings.ContainsAny(r.Path, "?# ") || !utf8.ValidString(u) {
			return "is not the end of a path; write such as .json, without query"
		}
		return ""
	}
	if path := strings.TrimSuffix(r.Path, "/"); path != "" {
		u, err := url.ParseRequestURI(path)
		if err == nil {
			_, err = CanonicalPath(&http.Request{URL: u})
		}
		if err != nil || u.EscapedPath() != path {
			return "is not a canonical path; write whole segments without query, . or .. segments or needless %XX"
		}
	}
	return ""
}

// judgeIdentifier judges what names a resource server: it must be able to stand in a scope parameter, before
// the bar.
func judgeIdentifier(text string) string {
	if text == "" {
		return "is required and not empty"
	}
	if !oauth.ValidScope(text) || strings.Contains(text, "|") || len(text) > maxIdentifier {
		return `is not an identifier; write 1 to 255 printable ASCII characters without space, " \ and |`
	}
	return ""
}

func isCurrency(text string) bool {
	return len(text) == 3 && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// The forms of a secret in a file.
const hashPrefix = "hash: "

// judgeSecret judges a client's secret: clear (RFC 6749 appendix A.2, so that it fits every way to send it),
// sealed or hashed.
func judgeSecret(s Secret) string {
	text := string(s)
	if sealed, is := strings.CutPrefix(text, sealedPrefix); is {
		return judgeSealed(sealed)
	}
	if hash, is := strings.CutPrefix(text, hashPrefix); is {
		if len(hash) != hashLength || !strings.HasPrefix(hash, "v1:") {
			return `is not a hash; write "hash: v1:…" as export prints it`
		}
		return ""
	}
	switch {
	case text == "":
		return ""
	case len(text) < seal.MinBroughtSecret:
		return "is a secret of under 16 characters; write a longer one, or leave value out to have one generated"
	case len(text) > maxSecret:
		return "is a secret of over 8 KiB; write a shorter one"
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }):
		return "is a secret with a character that is not printable ASCII; write another"
	}
	return ""
}

// hashLength is that of "v1:" and base64url of 32 bytes.
const hashLength = 3 + 43

func judgeSealed(sealed string) string {
	if !strings.HasPrefix(sealed, "v1:") {
		return `is not a sealed secret; write "sealed: v1:…" as export prints it`
	}
	return ""
}
