package quota

import (
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"keyless/shared/registry"
)

// R5: a copy of an admission that was long on its way, and arrives when the request was given back, counts nothing;
// another admission of the same request does.
func TestR5AdmissionThatComesLate(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		after     string
		late, new int64
	}{
		"given back after a lost reply": {afterFail, 0, 7},
		"given up":                      {afterFail, 0, 7},
		"settled":                       {afterSettle, 3, 3},
	}
	for name, test := range tests {
		server := miniredis.RunT(t)
		client, err := registry.Connect("redis://" + server.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() })
		q := NewRedis(client, "kg", time.Now)
		c := Call{RequestID: "r1", Domain: &registry.Domain{Name: "d"}, Tokens: 7,
			API: &registry.API{Name: "a", Concurrency: 9, Limits: &registry.Limits{TokensPerMonth: 100}}}
		asks, err := q.asks(c, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		key := asks[0].taking(asks[0].holding()).keys[1]
		if name != "given up" { // where nothing had arrived before
			if _, err := q.wave(t.Context(), c, asks); err != nil {
				t.Fatal(err)
			}
		}
		a := Admission{requestID: "r1", taken: []taking{asks[0].taking(asks[0].holding())}}
		if err := q.scripts.settle(t.Context(), a.changes(test.after, Used{Tokens: 3}), nil); err != nil {
			t.Fatal(err)
		}
		if _, err := q.wave(t.Context(), c, asks); err != nil {
			t.Fatal(err)
		}
		if n, _ := client.Get(t.Context(), key).Int64(); n != test.late {
			t.Errorf("%s: the late copy leaves %d", name, n)
		}
		if n := client.ZCard(t.Context(), "kg:{a:a}:s").Val(); n != 0 {
			t.Errorf("%s: the late copy takes a slot", name)
		}
		if _, err := q.Admit(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if n, _ := client.Get(t.Context(), key).Int64(); n != test.new {
			t.Errorf("%s: admitted anew it counts %d", name, n)
		}
		// And a late copy of the give-back does not take the new one's part.
		if err := q.scripts.settle(t.Context(), a.changes(test.after, Used{Tokens: 3}), nil); err != nil {
			t.Fatal(err)
		}
		if n, _ := client.Get(t.Context(), key).Int64(); n != test.new {
			t.Errorf("%s: a late give-back leaves %d", name, n)
		}
	}
}
