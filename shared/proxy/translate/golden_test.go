package translate_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyless/shared/proxy/translate"
)

var update = flag.Bool("update", false, "write the golden files")

func clock() time.Time { return time.Unix(1741569952, 0) }

var answerOptions = translate.AnswerOptions{Model: "house-model", ID: "req-1", Now: clock, IncludeUsage: true}

// golden compares with the file beside the input: x.openai.json becomes x.openai.want.json.
func golden(t *testing.T, input string, got []byte) {
	t.Helper()
	ext := filepath.Ext(input)
	name := strings.TrimSuffix(input, ext) + ".want" + ext
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

// each runs a test for every input of a folder, with the dialect that its name tells and the other one.
func each(t *testing.T, folder string, run func(t *testing.T, input string, from, to translate.Dialect, text []byte)) {
	t.Helper()
	inputs, err := filepath.Glob(filepath.Join("testdata", folder, "*"))
	if err != nil || len(inputs) == 0 {
		t.Fatal("no inputs", err)
	}
	for _, input := range inputs {
		if strings.Contains(input, ".want.") {
			continue
		}
		t.Run(filepath.Base(input), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(input)
			if err != nil {
				t.Fatal(err)
			}
			from, to := translate.OpenAI, translate.Anthropic
			if strings.Contains(input, ".anthropic.") {
				from, to = to, from
			}
			run(t, input, from, to, text)
		})
	}
}

func TestGoldenRequests(t *testing.T) {
	t.Parallel()
	each(t, "request", func(t *testing.T, input string, from, to translate.Dialect, text []byte) {
		before := bytes.Clone(text)
		got, err := translate.Request(from, to, text, translate.Options{Model: "upstream-model"})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(before, text) {
			t.Error("the body was changed")
		}
		golden(t, input, indented(t, got))
	})
}

func TestGoldenAnswers(t *testing.T) {
	t.Parallel()
	each(t, "answer", func(t *testing.T, input string, from, to translate.Dialect, text []byte) {
		got, err := translate.Answer(from, to, text, answerOptions)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, input, indented(t, got))
	})
}

func TestGoldenStreams(t *testing.T) {
	t.Parallel()
	each(t, "stream", func(t *testing.T, input string, from, to translate.Dialect, text []byte) {
		got, err := whole(from, to, answerOptions, text)
		if failing := strings.Contains(input, "error"); failing != (err != nil) {
			t.Fatal(err)
		}
		golden(t, input, got)
	})
}

func indented(t *testing.T, text []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", " "); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	out.WriteByte('\n')
	return out.Bytes()
}

// whole runs a stream that comes in the given pieces.
func whole(from, to translate.Dialect, o translate.AnswerOptions, pieces ...[]byte) ([]byte, error) {
	s := translate.NewStream(from, to, o)
	var all []byte
	for _, piece := range pieces {
		out, err := s.Write(piece)
		all = append(all, out...)
		if err != nil {
			return all, err
		}
	}
	out, err := s.Close()
	return append(all, out...), err
}
