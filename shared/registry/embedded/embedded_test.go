package embedded_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"keyless/shared/registry"
	"keyless/shared/registry/embedded"
	"keyless/shared/registry/storetest"
)

// clock is a time that a test sets.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.nanos.Store(time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time           { return time.Unix(0, c.nanos.Load()) }
func (c *clock) advance(by time.Duration) { c.nanos.Add(int64(by)) }

func start(t testing.TB, folder string, c *clock) *embedded.Server {
	t.Helper()
	s, err := embedded.Start(embedded.Options{Folder: folder, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// ask runs one Redis command, given as words.
func ask(t testing.TB, s *embedded.Server, words ...any) any {
	t.Helper()
	client, err := registry.Connect(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	answer, err := client.Do(t.Context(), words...).Result()
	if err != nil && err.Error() != "redis: nil" {
		t.Fatalf("%v: %v", words, err)
	}
	return answer
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestIsAStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) registry.Store {
		client, err := registry.Connect(start(t, "", newClock()).URL())
		must(t, err)
		t.Cleanup(func() { _ = client.Close() })
		return registry.NewRedis(client, "kg")
	})
}

func TestAsksForThePassword(t *testing.T) {
	t.Parallel()
	url := start(t, "", newClock()).URL()
	if !strings.HasPrefix(url, "redis://:") || !strings.Contains(url, "@127.0.0.1:") {
		t.Fatalf("URL of another form")
	}
	client, err := registry.Connect("redis://" + url[strings.Index(url, "@")+1:])
	must(t, err)
	defer func() { _ = client.Close() }()
	if err := client.Ping(t.Context()).Err(); err == nil || !strings.Contains(err.Error(), "NOAUTH") {
		t.Errorf("without the password: %v", err)
	}
}

func TestTimePasses(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := start(t, "", c)
	ask(t, s, "SET", "short", "1", "EX", 10)
	ask(t, s, "SET", "long", "1", "EX", 100)
	for _, step := range []struct {
		by   time.Duration
		want int64
	}{{9 * time.Second, 2}, {time.Second, 1}, {-time.Hour, 1}, {time.Hour + 89*time.Second,
		1}, {time.Second, 0}} {
		c.advance(step.by)
		must(t, s.Tick())
		if got := ask(t, s, "EXISTS", "short", "long"); got != step.want && step.by > 0 {
			t.Errorf("after %v: %v keys, want %d", step.by, got, step.want)
		}
		seconds := ask(t, s, "TIME").([]any)[0]
		if want := c.now().Unix(); seconds != jsonNumber(want) {
			t.Errorf("TIME is %v, want %d", seconds, want)
		}
	}
}

func jsonNumber(n int64) string {
	b, _ := json.Marshal(n)
	return string(b)
}

func TestSurvivesARestart(t *testing.T) {
	t.Parallel()
	folder, c := filepath.Join(t.TempDir(), "data"), newClock()
	s := start(t, folder, c)
	ask(t, s, "SET", "string", "a\x00\xff\n<b>")
	ask(t, s, "SET", "gone", "1", "EX", 50)
	ask(t, s, "SET", "stays", "1", "EX", 100)
	ask(t, s, "HSET", "hash", "f", "1", "g", "", "\xfe", "3")
	ask(t, s, "SADD", "set", "b", "a")
	ask(t, s, "ZADD", "zset", "1.5", "m", "-inf", "n", "9007199254740993", "o")
	ask(t, s, "RPUSH", "list", "b", "a", "b")
	ask(t, s, "EXPIRE", "list", 200)
	ask(t, s, "XADD", "stream", "5-1", "entry", "first")
	ask(t, s, "XADD", "stream", "7-0", "entry", "second", "more", "\xff")
	must(t, s.Close())
	must(t, s.Close())

	c.advance(60 * time.Second)
	s = start(t, folder, c)
	tests := map[string]struct {
		ask  []any
		want any
	}{
		"bytes of any kind":       {[]any{"GET", "string"}, "a\x00\xff\n<b>"},
		"what expired meanwhile":  {[]any{"EXISTS", "gone"}, int64(0)},
		"what has not expired":    {[]any{"TTL", "stays"}, int64(40)},
		"a list that expires":     {[]any{"TTL", "list"}, int64(140)},
		"what does not expire":    {[]any{"TTL", "string"}, int64(-1)},
		"fields of a hash":        {[]any{"HLEN", "hash"}, int64(3)},
		"an empty field":          {[]any{"HGET", "hash", "g"}, ""},
		"a field of other bytes":  {[]any{"HGET", "hash", "\xfe"}, "3"},
		"a set":                   {[]any{"SCARD", "set"}, int64(2)},
		"the order of a list":     {[]any{"LINDEX", "list", 1}, "a"},
		"the length of a list":    {[]any{"LLEN", "list"}, int64(3)},
		"the order of a zset":     {[]any{"ZRANK", "zset", "o"}, int64(2)},
		"a score of a zset":       {[]any{"ZSCORE", "zset", "m"}, 1.5},
		"entries of a stream":     {[]any{"XLEN", "stream"}, int64(2)},
		"the order of a stream":   {[]any{"EVAL", "return redis.call('XRANGE', KEYS[1], '(5-1', '+')[1][2][4]", 1, "stream"}, "\xff"},
		"nothing else came along": {[]any{"DBSIZE"}, int64(7)},
	}
	for name, test := range tests {
		if got := ask(t, s, test.ask...); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestSavesWhenDirty(t *testing.T) {
	t.Parallel()
	folder, c := t.TempDir(), newClock()
	s := start(t, folder, c)
	path := filepath.Join(folder, "store.json")
	must(t, s.Tick())
	if _, err := os.Stat(path); err == nil {
		t.Error("an untouched store is saved")
	}
	ask(t, s, "SET", "k", "v", "EX", 1000)
	c.advance(time.Second)
	must(t, s.Tick())
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("file %v, %v", info, err)
	}
	for range 3 { // reads and the passing of time are no change
		ask(t, s, "GET", "k")
		c.advance(time.Second + time.Microsecond)
		must(t, s.Tick())
	}
	again, err := os.Stat(path)
	if err != nil || !os.SameFile(info, again) {
		t.Error("an unchanged store is saved again")
	}
	ask(t, s, "SET", "k", "w")
	must(t, s.Tick())
	if changed, err := os.Stat(path); err != nil || os.SameFile(info, changed) {
		t.Error("a changed store is not saved")
	}
}

func TestOneServerPerFolder(t *testing.T) {
	t.Parallel()
	folder, c := t.TempDir(), newClock()
	s := start(t, folder, c)
	_, err := embedded.Start(embedded.Options{Folder: folder, Now: c.now})
	if err == nil || !strings.Contains(err.Error(), "in use by another") || !strings.Contains(err.Error(),
		folder) {
		t.Fatalf("a second server: %v", err)
	}
	must(t, s.Close())
	must(t, start(t, folder, c).Close())
}

func TestBrokenFiles(t *testing.T) {
	t.Parallel()
	key := func(rest string) string { return `{"format":1,"keys":[{"key":"k",` + rest + `}]}` }
	tests := map[string]struct{ content, want string }{
		"cut short":            {`{"format":1,"keys":[{"key":"k"`, "is not a saved store"},
		"empty":                {``, "is not a saved store"},
		"another document":     {`{}`, "is not a saved store"},
		"a newer format":       {`{"format":2,"keys":{}}`, "is not a saved store"},
		"a newer version":      {`{"format":2}`, "a newer version"},
		"an unknown type":      {key(`"type":"stream","values":["a"]`), "is not a saved store"},
		"half a pair":          {key(`"type":"hash","values":["a"]`), "is not a saved store"},
		"a string of nothing":  {key(`"type":"string","values":[]`), "is not a saved store"},
		"a score of no number": {key(`"type":"zset","values":["a","b"]`), "is not a saved store"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			path := filepath.Join(folder, "store.json")
			must(t, os.WriteFile(path, []byte(test.content), 0o600))
			for range 2 { // the second time the folder is not locked by the first
				_, err := embedded.Start(embedded.Options{Folder: folder})
				if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
					t.Fatalf("error %v", err)
				}
			}
			if kept, err := os.ReadFile(path); err != nil || string(kept) != test.content {
				t.Error("the broken file was changed")
			}
		})
	}
}

func TestHalfWrittenFileIsPassedOver(t *testing.T) {
	t.Parallel()
	folder, c := t.TempDir(), newClock()
	s := start(t, folder, c)
	ask(t, s, "SET", "k", "v")
	must(t, s.Close())
	must(t, os.WriteFile(filepath.Join(folder, ".store-7.tmp"), []byte(`{"format":1,"ke`), 0o600))
	s = start(t, folder, c)
	if got := ask(t, s, "GET", "k"); got != "v" {
		t.Errorf("k is %v", got)
	}
	entries, err := os.ReadDir(folder)
	must(t, err)
	for _, entry := range entries {
		if !slices.Contains([]string{"store.json", "store.lock"}, entry.Name()) {
			t.Errorf("%s stays", entry.Name())
		}
	}
}

// TestKilled kills a process that saves without pause: whatever the moment, the file is whole, and the
// folder is free.
func TestKilled(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for round := range 4 {
		writer := exec.Command(os.Args[0], "-test.run=^TestWriterToBeKilled$")
		writer.Env = append(os.Environ(), "KEYLESS_TEST_WRITER="+folder)
		must(t, writer.Start())
		path := filepath.Join(folder, "store.json")
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if info, err := os.Stat(path); err == nil && info.Size() > int64(round) {
				break
			}
			if time.Now().After(deadline) {
				_ = writer.Process.Kill()
				t.Fatal("the writer does not save")
			}
		}
		time.Sleep(time.Duration(7*round+20) * time.Millisecond)
		must(t, writer.Process.Kill())
		_ = writer.Wait()
		s, err := embedded.Start(embedded.Options{Folder: folder})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if got, _ := ask(t, s, "GET", "big").(string); len(got) != 1<<16 {
			t.Errorf("round %d: %d bytes", round, len(got))
		}
		must(t, s.Close())
	}
}

func TestWriterToBeKilled(t *testing.T) {
	folder := os.Getenv("KEYLESS_TEST_WRITER")
	if folder == "" {
		return // it is a part of TestKilled, run in a process of its own
	}
	s, err := embedded.Start(embedded.Options{Folder: folder})
	must(t, err)
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		ask(t, s, "SET", "big", strings.Repeat(string('a'+rune(time.Now().UnixNano()%26)), 1<<16))
		must(t, s.Tick())
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := start(t, "", newClock())
	done := make(chan struct{})
	go func() { s.Run(t.Context()); close(done) }() // t.Context ends before the cleanups run
	t.Cleanup(func() { <-done })
}
