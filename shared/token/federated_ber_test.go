package token_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"keyless/shared/registry"
	"keyless/shared/token"
)

func TestBERIsBounded(t *testing.T) {
	t.Parallel()
	nested := func(n int) string { return strings.Repeat("\x30\x80", n) + "\x05\x00" + strings.Repeat("\x00\x00", n) }
	for name, row := range map[string]struct {
		text string
		want bool
	}{
		"NULL":                      {"\x05\x00", true},
		"a sequence of two":         {"\x30\x04\x05\x00\x05\x00", true},
		"an empty sequence":         {"\x30\x00", true},
		"a long length":             {"\x04\x81\x80" + strings.Repeat("x", 128), true},
		"indefinite":                {nested(1), true},
		"as deep as may be":         {nested(31), true},
		"deeper":                    {nested(32), false},
		"nothing":                   {"", false},
		"a byte":                    {"\x30", false},
		"something behind":          {"\x05\x00\x00", false},
		"longer than it is":         {"\x04\x02x", false},
		"an inner one that is":      {"\x30\x02\x04\x02xx", false},
		"an inner one without end":  {"\x30\x04\x30\x80\x05\x00\x00\x00", false},
		"indefinite and primitive":  {"\x04\x80\x00\x00", false},
		"indefinite and empty":      {"\x30\x80\x00\x00", false},
		"indefinite without an end": {"\x30\x80\x05\x00", false},
		"a tag of several bytes":    {"\x3f\x01\x00", false},
		"a length of four bytes":    {"\x04\x84\x00\x00\x00\x00", false},
	} {
		if got := token.IsBER([]byte(row.text)); got != row.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// What overlaps doubles the library's work with every few bytes: 148 bytes of this kind take it half a minute.
func TestOverlappingElementsAreRefused(t *testing.T) {
	t.Parallel()
	text := append(bytes.Repeat([]byte{0x30, 6, 0x30, 2}, 2000), bytes.Repeat([]byte{4, 0}, 20)...)
	done := make(chan string, 1)
	go func() {
		done <- token.DocumentWrong(&registry.FederatedCredential{}, base64.StdEncoding.EncodeToString(text), now)
	}()
	select {
	case why := <-done:
		if why == "" {
			t.Error("it proves a client")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("not judged within 10 s")
	}
}
