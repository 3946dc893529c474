package translate

import (
	"encoding/json"
	"maps"
	"testing"

	"keyless/shared/oauth"
)

// FuzzFields: of whatever oauth.Object accepts, our own reader sees the same members, and encoding/json the same elements.
func FuzzFields(f *testing.F) {
	for _, text := range []string{
		`{}`, ` { "a" : 1 , "b":[ ] } `, `{"a\"b":"\\","c":{"d":"}\\\""},"\u0061":[1,"]",{"x":null}]}`, `{"a":[[],[1 ,2],"x"],"b":-1e5}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		want, err := oauth.Object(text)
		if err != nil {
			return
		}
		start := next(text, 0)
		same := func(a, b json.RawMessage) bool { return string(a) == string(b) }
		if got := fields(text[start:]); !maps.EqualFunc(got, want, same) {
			t.Fatalf("%q: %q", got, want)
		}
		for _, value := range want {
			if value[0] != '[' {
				continue
			}
			var items []json.RawMessage
			if err := json.Unmarshal(value, &items); err != nil {
				t.Fatal(err)
			}
			got := elements(value)
			if len(got) != len(items) {
				t.Fatalf("%d elements of %d", len(got), len(items))
			}
			for i := range items {
				if !same(got[i], items[i]) {
					t.Fatalf("%q, want %q", got[i], items[i])
				}
			}
		}
	})
}
