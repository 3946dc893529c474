package auth

import (
	"crypto/sha256"
	"sync"

	"keyless/shared/oauth"
)

// maxVerified bounds each of the two generations of remembered signatures: some hundred bytes each, a megabyte in all.
const maxVerified = 4096

// signatures remembers one fact: this token, byte for byte, verifies under this key with its algorithm. That never changes. What may
// change - which keys a consumer has, its rules, the time, its authorizations - is judged anew on each request, so a withdrawn key or a
// disabled consumer is refused although the signature is known. Only good signatures are remembered: a forger fills nothing.
type signatures struct {
	mu         sync.Mutex // guards the two generations
	young, old map[fact]struct{}
}

// fact is the digest of the canonical token and the thumbprint of the key.
type fact struct {
	token [sha256.Size]byte
	key   string
}

func newSignatures() *signatures { return &signatures{young: map[fact]struct{}{}} }

// verifies answers from memory, or verifies.
func (s *signatures) verifies(token *oauth.Token, k oauth.Key) bool {
	f := fact{sha256.Sum256([]byte(token.Compact)), k.Thumbprint}
	if s.known(f) {
		return true
	}
	if !Verifies(token, k) {
		return false
	}
	s.remember(f)
	return true
}

func (s *signatures) remember(f fact) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.young) >= maxVerified {
		s.young, s.old = map[fact]struct{}{}, s.young
	}
	s.young[f] = struct{}{}
}

func (s *signatures) known(f fact) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.young[f]; ok {
		return true
	}
	_, ok := s.old[f]
	return ok
}
