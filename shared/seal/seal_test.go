package seal_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"keyless/shared/seal"
)

func parse(t testing.TB, text string) *seal.Keys {
	t.Helper()
	keys, err := seal.ParseKeys(text)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestParseKeys(t *testing.T) {
	t.Parallel()
	raw := bytes.Repeat([]byte{0xfb, 0xef}, 16)
	long := append(raw[:32:32], 1)
	std, other := base64.StdEncoding.EncodeToString(raw), seal.NewMasterKey()
	tests := map[string]struct{ text, want string }{
		"one key":                        {std, ""},
		"standard alphabet, no padding":  {base64.RawStdEncoding.EncodeToString(raw), ""},
		"URL alphabet, padded":           {base64.URLEncoding.EncodeToString(raw), ""},
		"URL alphabet, no padding":       {base64.RawURLEncoding.EncodeToString(raw), ""},
		"two keys":                       {std + "," + other, ""},
		"two keys with a space between":  {std + ", " + other + "\n", ""},
		"nothing":                        {"", "no master key"},
		"white space":                    {" \n", "no master key"},
		"an empty second":                {std + ",", "master key 2: not base64 of 32 bytes"},
		"31 bytes":                       {base64.StdEncoding.EncodeToString(raw[:31]), "master key 1: not base64"},
		"33 bytes":                       {base64.RawStdEncoding.EncodeToString(long), "master key 1: not"},
		"not base64":                     {other + ",hunter2hunter2", "master key 2: not base64"},
		"unused bits set":                {other[:42] + "B", "master key 1: not base64"},
		"one key twice":                  {std + "," + std, "master key 2: the same as master key 1"},
		"one key twice in two alphabets": {std + "," + base64.RawURLEncoding.EncodeToString(raw), "the same as"},
		"too many":                       {strings.Repeat("x,", 16) + "x", "17 master keys: at most 16"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys, err := seal.ParseKeys(test.text)
			if test.want == "" {
				if err != nil || keys == nil {
					t.Fatalf("error %v, keys %v", err, keys)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want %q", err, test.want)
			}
			for _, value := range []string{"hunter2", std, other} {
				if strings.Contains(err.Error(), value) {
					t.Fatalf("the error shows a value: %v", err)
				}
			}
		})
	}
}

func TestSealedValueOpensOnlyAsItself(t *testing.T) {
	t.Parallel()
	keys := parse(t, seal.NewMasterKey())
	clear := []byte("sk-provider-key")
	sealed, err := keys.Seal("upstream/a/key", clear)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := keys.Open("upstream/a/key", sealed); err != nil || !bytes.Equal(got, clear) {
		t.Fatalf("opened %q, %v", got, err)
	}
	if again, _ := keys.Seal("upstream/a/key", clear); again == sealed {
		t.Fatal("the same value sealed twice gives the same text")
	}
	for _, place := range []string{"upstream/b/key", "upstream/a/ke", "upstream/a/keyy", ""} {
		if _, err := keys.Open(place, sealed); !errors.Is(err, seal.ErrTampered) {
			t.Errorf("at %q: %v, want ErrTampered", place, err)
		}
	}
	for i := range len(sealed) {
		for _, flip := range []byte{1, 4, 0x20, 0x80} {
			changed := []byte(sealed)
			changed[i] ^= flip
			if got, err := keys.Open("upstream/a/key", string(changed)); err == nil {
				t.Errorf("byte %d flipped by %#x opens as %q", i, flip, got)
			}
		}
		if _, err := keys.Open("upstream/a/key", sealed[:i]); err == nil {
			t.Errorf("cut to %d bytes it still opens", i)
		}
	}
	for name, changed := range map[string]string{
		"a line end inside": sealed[:40] + "\n" + sealed[40:], "a line end after": sealed + "\n",
		"padded": sealed + "=", "one more character": sealed + "A", "another version": "v2" + sealed[2:],
	} {
		if _, err := keys.Open("upstream/a/key", changed); !errors.Is(err, seal.ErrTampered) {
			t.Errorf("%s: %v, want ErrTampered", name, err)
		}
	}
}

func TestSwappedPlaces(t *testing.T) {
	t.Parallel()
	keys := parse(t, seal.NewMasterKey())
	first, _ := keys.Seal("client/a/secret", []byte("one"))
	second, _ := keys.Seal("client/b/secret", []byte("two"))
	for place, sealed := range map[string]string{"client/a/secret": second, "client/b/secret": first} {
		if _, err := keys.Open(place, sealed); !errors.Is(err, seal.ErrTampered) {
			t.Errorf("%s: %v, want ErrTampered", place, err)
		}
	}
	// A data key of one message and the ciphertext of another must not be joined.
	cut := strings.LastIndexByte(first, ':') + 1 + 80
	if _, err := keys.Open("client/a/secret", first[:cut]+second[cut:]); !errors.Is(err, seal.ErrTampered) {
		t.Errorf("spliced: %v, want ErrTampered", err)
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	older, newer := seal.NewMasterKey(), seal.NewMasterKey()
	before, both, after := parse(t, older), parse(t, newer+","+older), parse(t, newer)
	sealed, _ := before.Seal("p", []byte("s"))
	if before.Stale(sealed) || !both.Stale(sealed) {
		t.Fatal("stale must mean: sealed under a master key that is not the newest")
	}
	clear, err := both.Open("p", sealed)
	if err != nil || string(clear) != "s" {
		t.Fatalf("rotation does not open the old: %q, %v", clear, err)
	}
	if _, err := after.Open("p", sealed); !errors.Is(err, seal.ErrUnknownMasterKey) {
		t.Fatalf("old key removed: %v, want ErrUnknownMasterKey", err)
	}
	again, _ := both.Seal("p", clear)
	if both.Stale(again) {
		t.Fatal("sealed again, still stale")
	}
	if _, err := after.Open("p", again); err != nil {
		t.Fatal(err)
	}
	if both.Stale("") || both.Stale("hash") {
		t.Fatal("a value of another form is not stale")
	}
	if _, err := both.Open("p", strings.Replace(again, again[3:19], sealed[3:19], 1)); err == nil {
		t.Fatal("opens under the name of another master key")
	}
}

func TestSealRefuses(t *testing.T) {
	t.Parallel()
	keys := parse(t, seal.NewMasterKey())
	if _, err := keys.Seal("p", make([]byte, seal.MaxClear+1)); err == nil {
		t.Error("a secret longer than the bound is sealed")
	}
	if _, err := keys.Seal("", []byte("s")); err == nil {
		t.Error("a secret without a place is sealed")
	}
	if _, err := new(seal.Keys).Seal("p", nil); !errors.Is(err, seal.ErrUnknownMasterKey) {
		t.Errorf("an empty ring: %v", err)
	}
	for _, size := range []int{0, seal.MaxClear} {
		sealed, err := keys.Seal("p", make([]byte, size))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := keys.Open("p", sealed); err != nil || len(got) != size {
			t.Errorf("%d bytes open as %d, %v", size, len(got), err)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	keys := parse(t, seal.NewMasterKey())
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			place := fmt.Sprint(i)
			sealed, _ := keys.Seal(place, []byte(place))
			if got, err := keys.Open(place, sealed); err != nil || string(got) != place {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	group.Wait()
}

func TestKeysDoNotPrint(t *testing.T) {
	t.Parallel()
	keys := parse(t, seal.NewMasterKey())
	var line strings.Builder
	slog.New(slog.NewTextHandler(&line, nil)).Info("m", "keys", keys)
	if !strings.Contains(line.String(), "[master keys]") {
		t.Errorf("slog prints %s", line.String())
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if got := fmt.Sprintf(verb, keys) + fmt.Sprintf(verb, *keys); got != "[master keys][master keys]" {
			t.Errorf("%s prints %s", verb, got)
		}
	}
}

// FuzzOpen looks for a change that still opens, and for text that is opened without ever having been sealed.
func FuzzOpen(f *testing.F) {
	keys := parse(f, seal.NewMasterKey())
	sealed, _ := keys.Seal("p", []byte("s"))
	f.Add("p", []byte("secret"), 30, byte(1), sealed[:20])
	f.Add("upstream/a/key", []byte{}, 0, byte(0x20), "v1:0123456789abcdef:")
	f.Add("", []byte{0}, 19, byte(0x80), "v1::")
	f.Add("p", []byte("s"), 1<<20, byte(0), "")
	f.Fuzz(func(t *testing.T, place string, clear []byte, at int, flip byte, text string) {
		// The ring is new in each process, so no text of the corpus can be a genuine one.
		if got, err := keys.Open(place, text); err == nil {
			t.Fatalf("%q was never sealed and opens as %q", text, got)
		}
		sealed, err := keys.Seal(place, clear)
		if err != nil {
			return
		}
		if got, err := keys.Open(place, sealed); err != nil || !bytes.Equal(got, clear) {
			t.Fatalf("opened %q, %v", got, err)
		}
		if _, err := keys.Open(place+text+"x", sealed); !errors.Is(err, seal.ErrTampered) {
			t.Fatalf("another place: %v", err)
		}
		changed := []byte(sealed)
		changed[uint(at)%uint(len(changed))] ^= flip
		if got, err := keys.Open(place, string(changed)); err == nil && flip != 0 {
			t.Fatalf("byte %d flipped by %#x opens as %q", at, flip, got)
		}
	})
}
