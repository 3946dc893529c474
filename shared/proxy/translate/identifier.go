package translate

import (
	"crypto/sha256"
	"encoding/hex"
)

// maxCallID is the longest id of a tool call that OpenAI takes; Anthropic takes longer ones.
const maxCallID = 40

// callID is the id of a tool call in either dialect. Anthropic takes letters, digits, _ and - only, and some
// providers of OpenAI's dialect make others ("functions.search:0"): such an id becomes a name for itself, the
// same one wherever it stands.
func callID(id string) string {
	if fitsID(id) {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "call_" + hex.EncodeToString(sum[:16])
}

func fitsID(id string) bool {
	for i := range len(id) {
		c := id[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return id != "" && len(id) <= maxCallID
}

// needCallID takes the id of a tool call from a request.
func (m members) needCallID(name string) (string, error) {
	id, err := m.word(name)
	if err == nil && id == "" {
		err = m.refuse(name, "is missing or empty")
	}
	return callID(id), err
}
