package registry_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"keyless/shared/registry"
)

// A consumer's method can change; its name, authorizations and limits stay.
func TestMethodOfAConsumerChanges(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	steps := []struct {
		credentials, index string
		fields             []string
	}{
		{"jwt: {jwks_url: http://h/k, value: v}", registry.IndexJWT("uid", "v"), []string{"authorized:p", "claim:uid", "jwtplace:header:authorization:Bearer "}},
		{"hmac: {keys: [{access_key: AK, secret_key: a-brought-secret-xx}]}", registry.IndexHMAC("AK"), []string{"authorized:p"}},
		{"api_key: {source: {header: X-Key}, keys: [{id: a, value: a-key-that-is-brought}]}", "", []string{"authorized:p", "keyplace:header:x-key:"}},
		{"api_key: {source: {query: k}, keys: [{id: a}]}, jwt: {jwks_url: http://h/k, claim: sub, value: v}", registry.IndexJWT("sub", "v"),
			[]string{"authorized:p", "claim:sub", "jwtplace:header:authorization:Bearer ", "keyplace:query:k:"}},
	}
	last := ""
	for _, step := range steps {
		k.apply(consumerWith(step.credentials))
		if step.index == "" {
			step.index = registry.IndexAPIKey(headerPlace, k.hash("a-key-that-is-brought"))
		}
		c := k.one(step.index)
		if c == nil || c.Name != "one" || c.Limits.CallsPerDay != 7 || c.Authorized("p", time.Now()) == nil {
			t.Fatalf("%s: %+v", step.credentials, c)
		}
		if last != "" && k.one(last) != nil {
			t.Errorf("%s: the method before it still leads here", step.credentials)
		}
		if got := k.fields(); !slices.Equal(got, step.fields) {
			t.Errorf("%s: fields %v", step.credentials, got)
		}
		last = step.index
	}
}

// What consumers use stands in the Snapshot before a consumer uses it, and until none does.
func TestFieldsStandBeforeAndAfter(t *testing.T) {
	t.Parallel()
	k := newKeyring(t)
	w := &fieldWatch{Store: k.store, t: t, wanted: []string{"keyplace:header:x-key:", "authorized:q"}}
	use := strings.Replace(consumerWith("api_key: {source: {header: X-Key}, keys: [{id: a, value: a-key-that-is-brought}]}"), "[{api: p}]", "[{api: q}]", 1)
	k.apply(consumerWith("api_key: {}"))
	apply(t, w, k.keys, use, registry.ApplyOptions{Prune: true})
	if w.writes != 1 {
		t.Fatalf("the consumer was written %d times", w.writes)
	}
	if got := k.fields(); !slices.Equal(got, []string{"authorized:q", "keyplace:header:x-key:"}) {
		t.Errorf("fields %v", got)
	}
	back := &fieldWatch{Store: k.store, t: t, wanted: w.wanted}
	apply(t, back, k.keys, consumerWith("api_key: {}"), registry.ApplyOptions{Prune: true})
	if got := k.fields(); back.writes != 1 || !slices.Equal(got, []string{"authorized:p", "keyplace:header:authorization:Bearer "}) {
		t.Errorf("%d writes, fields %v", back.writes, got)
	}
}

// fieldWatch is a Store in which fields must stand whenever a consumer is written.
type fieldWatch struct {
	registry.Store
	t      *testing.T
	wanted []string
	writes int
}

func (w *fieldWatch) Write(ctx context.Context, c registry.Change) error {
	if c.Name != "" {
		w.writes++
		fields, err := w.Fields(ctx)
		if err != nil {
			return err
		}
		for _, field := range w.wanted {
			if _, there := fields[field]; !there {
				w.t.Errorf("%s is written and %s does not stand", c.Name, field)
			}
		}
	}
	return w.Store.Write(ctx, c)
}
