package token

// ParseBasic returns the id and the readings of the secret of a Basic header.
func ParseBasic(header string) (string, []string, bool) {
	p, ok := parseBasic(header)
	return p.id, p.secrets, ok
}

// Sentences returns every public sentence by its reason.
func Sentences() map[string]string {
	all := map[string]string{}
	for why, a := range answers {
		all[string(why)] = a.code + ": " + a.sentence
	}
	return all
}
