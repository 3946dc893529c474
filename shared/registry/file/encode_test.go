package file_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"keyless/shared/registry"
	"keyless/shared/registry/file"
)

// nobody looks variables up in vain: what was written asks for none.
func nobody(string) (string, bool) { return "", false }

func TestWhatIsWrittenReadsAsItself(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"plain", "yes", "NO", "null", "~", "1", "0x1F", "1e3", ".5", "1_000", "2027-06-30", "2027-06-30T00:00:00Z", "12:30:45", "- item", "a: b", "# no",
		"'", `"`, `\`, "%", "@x", "`x", "{a}", "[a]", "*a", "&a", "!a", "|", ">", "${NAME}", "$${NAME}", "$$${", "a ${ b", "$", "${", "two\nlines", "two\n\n  lines\n",
		" before", "after ", "\ttab", "a\tb", "\r\n", "\u00a0", "\u2028", "\ufeffx", "\u0085", "emoji \U0001F600", "\u05d0\u05d1", "<script>&amp;</script>",
		strings.Repeat("long ", 3000), "trailing:", "--- x", "...", "?", "? a", "=", "<<",
	} {
		want := &registry.Config{Version: 1, Consumers: []registry.Consumer{{Name: "c", DisplayName: text, Description: text,
			UpstreamKeys: map[string]registry.Secret{text: registry.Secret(text)}}}}
		var out bytes.Buffer
		if err := file.Write(&out, want); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		got, _, err := file.Read("x", out.Bytes(), nobody)
		if got == nil { // the validation of a Config that cannot be applied is not asked here
			t.Fatalf("%q: %v\n%s", text, err, out.String())
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q reads as %q\n%s", text, got.Consumers[0].DisplayName, out.String())
		}
	}
}

func TestTheExampleIsWrittenAndReadAgain(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	set := func(name string) (string, bool) {
		return "https://value-of." + strings.ToLower(strings.ReplaceAll(name, "_", "-")), true
	}
	first, _, err := file.Read("example.yaml", text, set)
	if err != nil {
		t.Fatal(err)
	}
	var once, twice bytes.Buffer
	if err := file.Write(&once, first); err != nil {
		t.Fatal(err)
	}
	second, _, err := file.Read("again.yaml", once.Bytes(), nobody)
	if err != nil {
		t.Fatalf("%v\n%s", err, once.String())
	}
	if err := file.Write(&twice, second); err != nil {
		t.Fatal(err)
	}
	if once.String() != twice.String() {
		t.Errorf("written again it is other bytes\n%s\n%s", once.String(), twice.String())
	}
	a, _ := json.Marshal(first)
	b, _ := json.Marshal(second)
	if !bytes.Equal(a, b) {
		t.Errorf("read again it is another\n%s\n%s", a, b)
	}
}

func TestWriteJSONKeepsOrderAndNumbers(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	err := file.WriteJSON(&out, []byte(`{"z":1,"a":[true,null,1.5,-2],"empty":{},"none":[],"n":9007199254740993}`))
	if want := "z: 1\na:\n  - true\n  - null\n  - 1.5\n  - -2\nempty: {}\nnone: []\nn: 9007199254740993\n"; err != nil || out.String() != want {
		t.Errorf("%v\n%s", err, out.String())
	}
	for _, wrong := range []string{"", "{", `{"a":}`, "[1"} {
		if err := file.WriteJSON(&out, []byte(wrong)); err == nil {
			t.Errorf("%q is written", wrong)
		}
	}
}

func TestReadObject(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		into any
		want any
		says string
	}{
		"an object":               {"name: team\nlimits: {calls_per_day: 7}", &registry.Group{}, &registry.Group{Name: "team", Limits: &registry.Limits{CallsPerDay: 7}}, ""},
		"an object in JSON":       {`{"name":"team"}`, &registry.Group{}, &registry.Group{Name: "team"}, ""},
		"a list":                  {"[a, b]", &[]string{}, &[]string{"a", "b"}, ""},
		"a duration":              {"90s", new(registry.Duration), ptr(registry.Duration(90_000_000_000)), ""},
		"an unknown key":          {"name: team\nlimit: {}", &registry.Group{}, nil, "x:2: limit"},
		"a variable that is none": {"name: ${NOBODY}", &registry.Group{}, nil, "NOBODY"},
		"no YAML":                 {"[a", &[]string{}, nil, "this is not YAML"},
		"nothing":                 {"", &registry.Group{}, nil, "x:1"},
		"two documents":           {"name: a\n---\nname: b", &registry.Group{}, nil, "second document"},
	} {
		_, err := file.ReadObject("x", []byte(c.text), c.into, nobody)
		switch {
		case c.says == "" && (err != nil || !reflect.DeepEqual(c.into, c.want)):
			t.Errorf("%s: %v, %v", name, c.into, err)
		case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: %v, want %s", name, err, c.says)
		}
	}
}

func ptr[T any](v T) *T { return &v }
