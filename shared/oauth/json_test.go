package oauth_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"keyless/shared/oauth"
)

func TestObject(t *testing.T) {
	t.Parallel()
	nested := func(n int) string {
		return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n)
	}
	tests := map[string]struct {
		text string
		want int // members; -1: refused
	}{
		"no members":                   {`{}`, 0},
		"white space everywhere":       {" \t\r\n{ \"a\" : 1 , \"b\" : [ ] } \n", 2},
		"all kinds of values":          {`{"a":null,"b":true,"c":-1.5e+3,"d":"x","e":[1,[2]],"f":{"g":{}}}`, 6},
		"an empty name":                {`{"":1}`, 1},
		"names that differ in case":    {`{"a":1,"A":2}`, 2},
		"names that differ by a zero":  {`{"a":1,"a\u0000":2}`, 2},
		"quotes and braces in strings": {`{"a\"}":"]}\\","b":"\\\""}`, 2},
		"as deep as may be":            {nested(oauth.MaxJSONDepth), 1},
		"one name twice":               {`{"a":1,"a":1}`, -1},
		"twice, once escaped":          {`{"a":1,"\u0061":1}`, -1},
		"twice, both escaped":          {`{"\/":1,"/":1}`, -1},
		"twice in an inner object":     {`{"a":{"b":1,"b":1}}`, -1},
		"twice in an array":            {`{"a":[[],[{"b":1,"b":1}]]}`, -1},
		"twice far apart":              {`{"a":{"x":[1,{"y":2}]},"b":"\"","a":3}`, -1},
		"deeper by one":                {nested(oauth.MaxJSONDepth + 1), -1},
		"deep arrays":                  {`{"a":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`, -1},
		"an array":                     {`[]`, -1},
		"a string":                     {`"{}"`, -1},
		"null":                         {`null`, -1},
		"nothing":                      {``, -1},
		"only white space":             {` `, -1},
		"two values":                   {`{}{}`, -1},
		"a comma at the end":           {`{"a":1,}`, -1},
		"a comment":                    {`{/**/}`, -1},
		"single quotes":                {`{'a':1}`, -1},
		"not UTF-8":                    {"{\"a\":\"\xff\"}", -1},
		"a byte order mark":            {"\ufeff{}", -1},
		"a raw control character":      {"{\"a\":\"\n\"}", -1},
	}
	for name, test := range tests {
		got, err := oauth.Object([]byte(test.text))
		if (err != nil) != (test.want < 0) || err == nil && len(got) != test.want {
			t.Errorf("%s: %d members, %v", name, len(got), err)
		}
	}
}

func TestStringForms(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{`"a"`: "a", `""`: "", `"\u0061"`: "a", `"\""`: `"`} {
		if got, ok := oauth.String(json.RawMessage(text)); !ok || got != want {
			t.Errorf("%s: %q, %t", text, got, ok)
		}
	}
	for _, text := range []string{"", `"`, "1", "null", "true", "[]", `["a"]`, "{}", `a"`} {
		if got, ok := oauth.String(json.RawMessage(text)); ok || got != "" {
			t.Errorf("%s: %q passes as a string", text, got)
		}
	}
	for _, text := range []string{"", "1", "null", "{}", "[1]", "[null]", `["a",["b"]]`, "["} {
		if got, ok := oauth.Strings(json.RawMessage(text)); ok || got != nil {
			t.Errorf("%s: %q passes as strings", text, got)
		}
	}
}

// strictly reads one JSON value with encoding/json's tokens, refusing what Object refuses: an independent
// judge.
func strictly(d *json.Decoder, depth int) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	open, isDelim := token.(json.Delim)
	if !isDelim {
		return nil
	}
	if depth > oauth.MaxJSONDepth {
		return errors.New("deep")
	}
	seen := map[string]bool{}
	for d.More() {
		if open == '{' {
			name, err := d.Token()
			if err != nil {
				return err
			}
			if seen[name.(string)] {
				return errors.New("twice")
			}
			seen[name.(string)] = true
		}
		if err := strictly(d, depth+1); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// FuzzObject compares with encoding/json: what passes is understood alike, and what is sound passes.
func FuzzObject(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":1,"a":2}`, `{"a":{"b":[1,{"c":"\u0061"}]}}`, "{\"\xff\":1}", `{"a":1}x`, ` { "\ud800" : 1 } `,
		`{"a":"\\\"","b":[]}`, `{"a":-0.1e-5,"b":null}`, `[{}]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		members, err := oauth.Object(text)
		sound := utf8.Valid(text) && json.Valid(text) && bytes.HasPrefix(bytes.TrimLeft(text,
			" \t\r\n"), []byte("{")) &&
			strictly(json.NewDecoder(bytes.NewReader(text)), 1) == nil
		if sound != (err == nil) {
			t.Fatalf("%q: sound %t, but %v", text, sound, err)
		}
		if err != nil {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(text, &want); err != nil || len(want) != len(members) {
			t.Fatalf("%q: %d members, encoding/json has %d, %v", text, len(members), len(want), err)
		}
		for name, value := range want {
			if !bytes.Equal(members[name], value) {
				t.Fatalf("%q: member %q is %s, encoding/json has %s", text, name, members[name], value)
			}
		}
	})
}
