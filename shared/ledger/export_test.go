package ledger_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"keyless/shared/ledger"
)

func TestWriteRows(t *testing.T) {
	t.Parallel()
	rows := []ledger.Row{
		{Day: "2026-11-25", Model: `=cmd|' /C calc'!A0`, Counts: ledger.Counts{Calls: 2, Errors: 1, Refused: 7, Input: 3,
			CachedInput: 1, Output: 4, Reasoning: 2, Images: 5, Cost: 1234500, Latency: 9, FirstToken: 8, FirstTokens: 1}},
		{Day: "2026-11-26", Model: "a,\"b\"\nc", Counts: ledger.Counts{Cost: 1}},
	}
	var out bytes.Buffer
	if err := ledger.WriteRows(&out, []string{"day", "model"}, rows); err != nil {
		t.Fatal(err)
	}
	want := "day,model,calls,errors,refused,input,cached_input,output,reasoning,images,cost,latency_ms,first_token_ms," +
		"first_tokens\r\n" +
		"2026-11-25,'=cmd|' /C calc'!A0,2,1,7,3,1,4,2,5,1.2345,9,8,1\r\n" +
		"2026-11-26,\"a,\"\"b\"\"\r\nc\",0,0,0,0,0,0,0,0,0.000001,0,0,0\r\n"
	if out.String() != want {
		t.Errorf("%q", out.String())
	}
}

func TestFormulasAreTexts(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"=1", "+1", "-1", "@SUM", "\tx", "\rx", "\nx", "plain", "", "a=1", "gpt-4o"} {
		var out bytes.Buffer
		if err := ledger.WriteEntries(&out, []ledger.Entry{{Model: text, Subject: text}}); err != nil {
			t.Fatal(err)
		}
		lines, err := csv.NewReader(&out).ReadAll()
		if err != nil || len(lines) != 2 || len(lines[0]) != len(lines[1]) {
			t.Fatalf("%q: %v, %v", text, lines, err)
		}
		for i, column := range lines[0] {
			value := lines[1][i]
			if (column == "model" || column == "subject") && value != "" && strings.ContainsAny(value[:1], "=+-@\t\r\n") {
				t.Errorf("%q stands as %q", text, value)
			}
		}
	}
}

func TestWriteJSONLines(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	entries := []ledger.Entry{entry("r1", nil), entry("r2", func(e *ledger.Entry) { e.Model = "a\nb<c>" })}
	if err := ledger.WriteJSONLines(&out, entries); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 2 || !strings.Contains(lines[1], `a\nb<c>`) {
		t.Fatalf("%q", lines)
	}
	for i, line := range lines {
		var got ledger.Entry
		if err := json.Unmarshal([]byte(line), &got); err != nil || got.RequestID != entries[i].RequestID {
			t.Errorf("%s: %v", line, err)
		}
	}
	if err := ledger.WriteJSONLines(full{}, []ledger.Row{{}}); err == nil {
		t.Error("nobody notices that it was not written")
	}
	if err := ledger.WriteRows(full{}, nil, []ledger.Row{{}}); err == nil {
		t.Error("nobody notices that CSV was not written")
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestAmount(t *testing.T) {
	t.Parallel()
	for micros, want := range map[int64]string{
		0: "0", 1: "0.000001", 1_000_000: "1", 1_234_500: "1.2345", -500_000: "-0.5", -1 << 63: "-9223372036854.775808",
		1<<63 - 1: "9223372036854.775807", 10: "0.00001",
	} {
		if got := ledger.Amount(micros); got != want {
			t.Errorf("%d is %s, want %s", micros, got, want)
		}
	}
}
