package keyring_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"keyless/shared/keyring"
	"keyless/shared/registry"
	"keyless/shared/seal"
)

func parsed(t testing.TB, texts ...string) *seal.Keys {
	t.Helper()
	keys, err := seal.ParseKeys(strings.Join(texts, ","))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestS2Rewrap(t *testing.T) {
	t.Parallel()
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, older, newer := start(t), seal.NewMasterKey(), seal.NewMasterKey()
			store := keyring.NewRedis(client, cell)
			if _, err := keyring.New(store, parsed(t, older)).Ensure(t.Context(), "acme", "ES256"); err != nil {
				t.Fatal(err)
			}
			both := keyring.New(store, parsed(t, newer, older))
			before := revision(t, client)
			for _, want := range []int{2, 0} {
				if done, err := both.Rewrap(t.Context(), "acme"); err != nil || done != want {
					t.Fatalf("%d sealed again, want %d; error %v", done, want, err)
				}
			}
			if revision(t, client) != before {
				t.Error("the revision moved: everybody loads what did not change")
			}
			verifies(t, keyring.New(store, parsed(t, newer)), "acme", keySet(t, client, "acme"))
			// What does not open is an error, after all else is done.
			client.HSet(t.Context(), registry.Space(cell).Keyring("acme"), "stray", "v1:0123456789abcdef:AAAA")
			if done, err := both.Rewrap(t.Context(), "acme"); !errors.Is(err, seal.ErrUnknownMasterKey) || done != 0 {
				t.Fatalf("%d, %v", done, err)
			}
		})
	}
}

type plan struct{ algorithm string }

func (p plan) Algorithm() string       { return p.algorithm }
func (p plan) Rotation() time.Duration { return 24 * time.Hour }

func TestScheduledEvents(t *testing.T) {
	t.Parallel()
	client, c := mini(t), newClock()
	ring := keyring.New(keyring.NewRedis(client, cell), masterKeys(t)).WithClock(c.now)
	plans := map[string]plan{"acme": {"ES256"}, "beta": {"EdDSA"}}
	var failure error
	var log bytes.Buffer
	handle := keyring.Calendar(ring, func(context.Context) (map[string]plan, error) { return plans, failure },
		slog.New(slog.NewTextHandler(&log, nil)))
	const timer = `{"triggerTime":"2026-11-22T12:00:00Z","triggerName":"calendar","payload":""}`
	const rule = `{"version":"0","detail-type":"Scheduled Event","source":"aws.events","detail":{}}`
	const scheduler = `{"version":"0","detail-type":"Scheduled Event","source":"aws.scheduler","detail":"{}"}`
	for i, test := range []struct {
		event, reply string
		pass         time.Duration
	}{
		{rule, `{"changed":["acme","beta"],"instances":2}`, 0},
		{timer, `{"changed":[],"instances":2}`, time.Hour},
		{timer, `{"changed":["acme","beta"],"instances":2}`, 23 * time.Hour},
		{scheduler, `{"changed":[],"instances":2}`, 0},
		{`{"source":"aws.events","detail-type":"EC2 Instance State-change Notification"}`, "", 0},
		{`{"source":"mine","detail-type":"Scheduled Event"}`, "", 0},
		{`{"triggerName":"calendar"}`, "", 0},
		{`{"version":"2.0","rawPath":"/_/admin/v1/apply"}`, "", 0},
		{`[]`, "", 0},
		{`{`, "", 0},
	} {
		c.pass(test.pass)
		reply, handled, err := handle(t.Context(), json.RawMessage(test.event))
		if string(reply) != test.reply || handled != (test.reply != "") || err != nil {
			t.Errorf("event %d: %s, handled %v, error %v", i, reply, handled, err)
		}
	}
	plans["aaa"] = plan{"HS256"} // the others are tended all the same
	c.pass(48 * time.Hour)
	reply, handled, err := handle(t.Context(), json.RawMessage(rule))
	if string(reply) != `{"changed":["acme","beta"],"instances":3}` || !handled || err == nil || strings.Contains(err.Error(), "HS256") {
		t.Errorf("%s, %v, %v", reply, handled, err)
	}
	failure = errors.New("canary of the store")
	if _, handled, err := handle(t.Context(), json.RawMessage(rule)); !handled || err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("%v, %v", handled, err)
	}
	if !strings.Contains(log.String(), "canary") || !strings.Contains(log.String(), "HS256") {
		t.Error("the log does not say why")
	}
}
