package token_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"keyless/shared/accesslog"
	"keyless/shared/keyring"
	"keyless/shared/token"
)

// cannotPromote signs, and cannot promote.
type cannotPromote struct{ token.Signer }

func (cannotPromote) Promote(context.Context, string, string, string) (string, error) {
	return "", errors.New("canary of the store")
}

type onlySigner struct{ token.Signer }

func TestK05TheNextKeySignsWhenItIsDue(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var at atomic.Int64
	at.Store(time.Now().Unix())
	clock := func() time.Time { return time.Unix(at.Load(), 0) }
	ring := f.ring.WithClock(clock)
	f.Options.Now, f.Options.Signer = clock, ring
	kids := func(state string) (list []string) {
		keys, err := ring.Keys(t.Context(), "acme")
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			if k.State == state {
				list = append(list, k.ID)
			}
		}
		return list
	}
	signed := func(o token.Options) string {
		t.Helper()
		f.Handler = accesslog.Handler(o.Log, nil, token.New(o))
		w := f.do(call{})
		compact, _, _ := strings.Cut(answerOf(t, w.Body.Bytes()).AccessToken, ".")
		var header struct{ Kid string }
		text, _ := base64.RawURLEncoding.DecodeString(compact)
		if err := json.Unmarshal(text, &header); err != nil || w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		return header.Kid
	}
	first, next := kids(keyring.Active)[0], kids(keyring.Next)[0]
	at.Add(int64(90*24*time.Hour/time.Second) - 1)
	if got := signed(f.Options); got != first {
		t.Fatalf("%s signs before its time", got)
	}
	at.Add(1 + 60)
	for want, signer := range map[string]token.Signer{"canary of the store": cannotPromote{ring}, "none is ready": onlySigner{ring}} {
		o := f.Options
		o.Signer = signer
		if f.log.Reset(); signed(o) != first || !strings.Contains(f.log.String(), want) {
			t.Errorf("the active key does not sign on, or the log does not say %q: %s", want, f.log)
		}
	}
	for range 2 {
		if got := signed(f.Options); got != next {
			t.Fatalf("%s signs, want the next key", got)
		}
	}
	if kids(keyring.Active)[0] != next || len(kids(keyring.Next)) != 0 {
		t.Error("a request made a key")
	}
	at.Add(int64(91 * 24 * time.Hour / time.Second))
	if f.log.Reset(); signed(f.Options) != next || !strings.Contains(f.log.String(), "run keyless keys rotate") {
		t.Errorf("without a next key: %s", f.log)
	}
}
