package oauth

import "strings"

// Challenge builds a WWW-Authenticate value: a scheme and its parameters, given as name, value pairs; empty values are left out
// (RFC 9110 §11.6.1, RFC 6750 §3).
func Challenge(scheme string, pairs ...string) string {
	var b strings.Builder
	b.WriteString(scheme)
	separator := " "
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			continue
		}
		b.WriteString(separator + pairs[i] + `="` + quoted(pairs[i+1]) + `"`)
		separator = ", "
	}
	return b.String()
}

// quoted keeps a quoted-string of RFC 9110 §5.6.4 whole: what cannot stand in one is dropped.
func quoted(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
			return -1
		}
		return r
	}, s)
}
