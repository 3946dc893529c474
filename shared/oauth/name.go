package oauth

// Names are read on every request and at every cold start, so their grammars are loops: a regular expression with a counted repetition
// takes a millisecond to compile on a small function.

// ValidName reports whether s can be the id or name of an object: ^[A-Za-z0-9._~-]{1,128}$, the unreserved characters of RFC 3986 §2.3.
// Such a name stands in URLs, Redis keys and headers as it is.
func ValidName(s string) bool {
	const longest = 128
	for i := range len(s) {
		if c := s[i]; !urlSafe(c) && c != '.' && c != '~' {
			return false
		}
	}
	return s != "" && len(s) <= longest
}

// ValidInstance reports whether s can be the id of an instance, which is a path segment of its issuer: ^[a-z0-9][a-z0-9-]{0,62}$.
func ValidInstance(s string) bool {
	const longest = 63 // as a DNS label, so that an instance can become a host
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && (c != '-' || i == 0) {
			return false
		}
	}
	return s != "" && len(s) <= longest
}
