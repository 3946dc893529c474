package registry

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// MaxPathBytes bounds a path: Function Compute takes 4 KiB of path and query, and no API of ours needs as much.
const MaxPathBytes = 4 << 10

// ErrPath refuses a path that has a second spelling. Public: the sentence goes to the caller.
var ErrPath = errors.New("the path is not in canonical form: no empty, . or .. segments, no encoded separators, " +
	"upper-case percent-encoding and only where it is needed")

// CanonicalPath returns the request's path in the one spelling in which it is judged and forwarded, or ErrPath where the request uses
// another. What is refused is what two readers could understand differently: dot and empty segments, encoded slashes, backslashes,
// parameters (;), fragments, control characters, encoded characters that need no encoding, lower-case hex, text that is not UTF-8.
// Source: RFC 3986 §6.2.2; the CVEs of the field are of this kind.
func CanonicalPath(r *http.Request) (string, error) {
	path := r.URL.EscapedPath()
	if len(path) > MaxPathBytes || !strings.HasPrefix(path, "/") || !utf8.ValidString(r.URL.Path) {
		return "", ErrPath
	}
	// Where a byte of the path as sent is not allowed, net/url drops that form and encodes the decoded one anew, and with it
	// an encoded slash would be a slash.
	if r.URL.RawPath != "" && r.URL.RawPath != path {
		return "", ErrPath
	}
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '%':
			if !canonicalEscape(path[i:]) {
				return "", ErrPath
			}
			i += 2
		case !pathByte(c):
			return "", ErrPath
		}
	}
	for segment := range strings.SplitSeq(strings.TrimSuffix(path[1:], "/"), "/") {
		if segment == "." || segment == ".." || segment == "" && path != "/" {
			return "", ErrPath
		}
	}
	return path, nil
}

// canonicalEscape judges %XX at the start of s.
func canonicalEscape(s string) bool {
	if len(s) < 3 || strings.ToUpper(s[:3]) != s[:3] {
		return false
	}
	decoded, err := url.PathUnescape(s[:3])
	if err != nil {
		return false
	}
	c := decoded[0]
	// What may stand as it is has that one spelling: an upstream decodes, and would find two names for one thing.
	return c >= 0x20 && c != 0x7f && !pathByte(c) && !strings.ContainsRune(`\;?#%`, rune(c))
}

func unreserved(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// pathByte reports what may stand in a segment unencoded: pchar of RFC 3986 §3.3 without the semicolon, and the slash.
func pathByte(c byte) bool { return unreserved(c) || strings.IndexByte("/:@!$&'()*+,=", c) >= 0 }
