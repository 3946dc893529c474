package ledger_test

import (
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"keyless/shared/ledger"
)

// Refusals are counted beside the calls, and a thousand in a second cost one write.
func TestRefusalsAreCountedTogether(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer client.Close()
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	l := ledger.NewRefusals(client, "kg", clock)
	refuse := func(times int) {
		for range times {
			if err := l.Refused(t.Context(), "alice", "models"); err != nil {
				t.Fatal(err)
			}
		}
	}
	refuse(1)
	before := server.CommandCount()
	refuse(1000)
	if written := server.CommandCount() - before; written != 0 {
		t.Errorf("a thousand refusals in a second took %d commands", written)
	}
	now = now.Add(time.Second)
	refuse(1)
	rows, err := ledger.New(client, "kg", clock).Report(t.Context(), ledger.Question{From: "2026-11-25", To: "2026-11-25", By: []string{"consumer", "api"}})
	if err != nil || len(rows) != 1 || rows[0].Refused != 1002 || rows[0].Calls != 0 || rows[0].Consumer != "alice" || rows[0].API != "models" {
		t.Errorf("%+v, %v", rows, err)
	}
}
