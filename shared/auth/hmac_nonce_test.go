package auth_test

import (
	"strings"
	"testing"
	"time"

	"keyless/shared/auth"
	"keyless/shared/registry"
)

func nonced(nonce string) caRequest {
	c := ca()
	c.listed = []string{c.listed[0], "x-ca-nonce: " + nonce, c.listed[1]}
	return c
}

func TestNonceIsUsedOnce(t *testing.T) {
	t.Parallel()
	s := newPartner(t)
	s.want("a bad signature uses nothing up", nonced("n").build(set("X-Ca-Signature", "AAAA")), auth.HMACInvalidSignature)
	s.want("first", nonced("n").build(), "")
	s.want("again", nonced("n").build(), auth.HMACReplayedNonce)
	s.want("another", nonced("m").build(), "")
	s.now = now.Add(14 * time.Minute)
	s.want("again while it is fresh", nonced("n").build(), auth.HMACReplayedNonce)
	if got := s.nonces.remember[0]; got != 30*time.Minute {
		t.Errorf("remembered for %v, and a request may be fresh for twice the window", got)
	}
	for key := range s.nonces.used {
		if len(key) != 43 || strings.Contains(key, "n ") {
			t.Errorf("remembered as %q", key)
		}
	}
}

// Another consumer's nonce is another.
func TestNonceIsTheAccessKeys(t *testing.T) {
	t.Parallel()
	s := newPartner(t)
	signing(t, s.world, "second", caSecret)
	other := nonced("n").with(func(c *caRequest) { c.key, c.listed[0] = "second", "x-ca-key: second" })
	s.want("one", nonced("n").build(), "")
	s.want("the other", other.build(), "")
}

func TestNonceMemoryAway(t *testing.T) {
	t.Parallel()
	s := newPartner(t)
	s.nonces.away = true
	if d, err := s.judge(nonced("n").build(), "signed"); err == nil || d.Allowed || d.Reason != "" {
		t.Errorf("%+v %v", d, err)
	}
	s.want("without a nonce nothing is asked", ca().build(), "")
	gate := auth.New(s.keys, "https://gateway.example", clock)
	reader := registry.NewReader(s.store, nil, clock)
	err := reader.Consult(t.Context(), func(v registry.View) (registry.Result, error) {
		d, err := gate.Decide(t.Context(), v, nonced("n").build(), v.APIs["signed"])
		if d.Allowed {
			t.Error("allowed without a memory")
		}
		return registry.Final, err
	})
	if err == nil {
		t.Error("no memory for nonces is no failure")
	}
}

// A request that is decided again, because what the gate knew was old, has not replayed itself.
func TestNonceOfARequestThatIsDecidedAgain(t *testing.T) {
	t.Parallel()
	s := newPartner(t)
	reader := registry.NewReader(s.store, nil, clock)
	gate := auth.New(s.keys, "https://gateway.example", clock).WithNonces(s.nonces)
	attempts := 0
	r := nonced("n").build()
	decide := func() (auth.Decision, error) {
		var d auth.Decision
		err := reader.Consult(t.Context(), func(v registry.View) (registry.Result, error) {
			var err error
			d, err = gate.Decide(t.Context(), v, r, v.APIs["signed"])
			if attempts++; attempts < 3 && err == nil {
				return registry.Stale, nil
			}
			return d.Result(), err
		})
		return d, err
	}
	if d, err := decide(); err != nil || !d.Allowed || attempts != 3 {
		t.Fatalf("%q %v after %d attempts", d.Reason, err, attempts)
	}
	if d, err := decide(); err != nil || d.Reason != auth.HMACReplayedNonce {
		t.Errorf("the next request: %q %v", d.Reason, err)
	}
}
