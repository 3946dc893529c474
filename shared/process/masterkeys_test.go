package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keyless/shared/seal"
)

func TestMasterKeyInAFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	key := seal.NewMasterKey()
	if err := os.WriteFile(path, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	inFile, err := masterKeys("file:" + path)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := masterKeys(key)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := inFile.Seal("here", []byte("a secret"))
	if err != nil {
		t.Fatal(err)
	}
	if clear, err := plain.Open("here", sealed); err != nil || string(clear) != "a secret" {
		t.Errorf("%q, %v", clear, err)
	}
}

func TestMasterKeyThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	short := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(short, []byte("c2hvcnQ="), 0o600); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"file:" + short:                        "master key 1: file: not base64 of 32 bytes",
		"file:/nowhere":                        "master key 1: file: the file cannot be read",
		"aws-kms:Y2lwaGVy":                     "master key 1: aws-kms: the environment has no credentials",
		"alibaba-kms:Y2lwaGVy":                 "master key 1: alibaba-kms: the environment has no credentials",
		seal.NewMasterKey() + ",file:/nowhere": "master key 2: file",
	} {
		keys, err := masterKeys(text)
		if err != nil {
			t.Fatalf("%s is opened at once: %v", text, err)
		}
		if _, err := keys.Seal("here", []byte("x")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	for _, text := range []string{"", "vault:x", "file:", "short"} {
		if _, err := masterKeys(text); err == nil {
			t.Errorf("%q is taken for a master key", text)
		}
	}
}
