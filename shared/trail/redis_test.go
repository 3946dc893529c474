package trail_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"keyless/shared/trail"
)

var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func newTrail(t *testing.T, clock func() time.Time) (*trail.Trail, *miniredis.Miniredis) {
	t.Helper()
	server := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { client.Close() })
	return trail.NewRedis(client, "kg", clock), server
}

func TestARecordIsFoundForAnHour(t *testing.T) {
	t.Parallel()
	trail, server := newTrail(t, func() time.Time { return now })
	ctx := context.Background()
	if err := trail.Keep(ctx, "req-1", []byte(`{"code":"access_denied"}`)); err != nil {
		t.Fatal(err)
	}
	if got, err := trail.Find(ctx, "req-1"); err != nil || string(got) != `{"code":"access_denied"}` {
		t.Errorf("got %q, %v", got, err)
	}
	if keys := server.Keys(); len(keys) != 1 || keys[0] != "kg:{e:req-1}" {
		t.Errorf("keys %v", keys)
	}
	server.FastForward(time.Hour)
	if got, err := trail.Find(ctx, "req-1"); err != nil || got != nil {
		t.Errorf("after an hour got %q, %v", got, err)
	}
}

func TestWhatIsBeyondTheBoundsIsNotKept(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ id, record string }{
		"an id that is no name":  {"a}{b", "{}"},
		"no id":                  {"", "{}"},
		"an id of 129 bytes":     {strings.Repeat("a", 129), "{}"},
		"a record above 8 KiB":   {"req-1", strings.Repeat("x", 8<<10+1)},
		"an id with a line feed": {"a\nb", "{}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			trail, server := newTrail(t, func() time.Time { return now })
			if err := trail.Keep(context.Background(), c.id, []byte(c.record)); err != nil {
				t.Error(err)
			}
			if keys := server.Keys(); len(keys) != 0 {
				t.Errorf("kept %v", keys)
			}
			if got, err := trail.Find(context.Background(), c.id); err != nil || got != nil {
				t.Errorf("found %q, %v", got, err)
			}
		})
	}
}

func TestAProcessWritesTenRecordsASecond(t *testing.T) {
	t.Parallel()
	clock := now
	trail, server := newTrail(t, func() time.Time { return clock })
	keep := func(from, to int) {
		for i := from; i < to; i++ {
			if err := trail.Keep(context.Background(), fmt.Sprint("req-", i), []byte("{}")); err != nil {
				t.Error(err)
			}
		}
	}
	keep(0, 100)
	if n := len(server.Keys()); n != 10 {
		t.Errorf("%d records in a second", n)
	}
	clock = clock.Add(time.Second)
	keep(100, 105)
	if n := len(server.Keys()); n != 15 {
		t.Errorf("%d records in the next second", n)
	}
}

func TestAStoreThatIsAwayIsAnError(t *testing.T) {
	t.Parallel()
	trail, server := newTrail(t, func() time.Time { return now })
	server.Close()
	if err := trail.Keep(context.Background(), "req-1", []byte("{}")); err == nil {
		t.Error("kept")
	}
	if _, err := trail.Find(context.Background(), "req-1"); err == nil {
		t.Error("found")
	}
}
