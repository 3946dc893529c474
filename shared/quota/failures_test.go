package quota_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"keyless/shared/quota"
)

func TestC18FailuresOfAClientAndAnAddress(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	start := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	server.SetTime(start)
	q := quota.NewRedis(connect(t, server.Addr()), "kg", time.Now)
	fail := func(client, address string) time.Duration {
		t.Helper()
		wait, err := q.ClientFailed(t.Context(), client, address)
		if err != nil {
			t.Fatal(err)
		}
		return wait
	}
	for n := range 10 {
		if wait := fail("acme/one", "192.0.2.1"); wait != 0 {
			t.Fatalf("failure %d waits %s", n+1, wait)
		}
	}
	if wait := fail("acme/one", "192.0.2.1"); wait != 6*time.Second {
		t.Fatalf("the eleventh waits %s", wait)
	}
	if fail("acme/one", "192.0.2.2") != 0 || fail("acme/two", "192.0.2.1") != 0 {
		t.Error("others wait too")
	}
	server.SetTime(start.Add(6 * time.Second))
	if wait := fail("acme/one", "192.0.2.1"); wait != 0 {
		t.Errorf("after the wait it waits %s", wait)
	}
	if wait := fail("acme/one", "192.0.2.1"); wait != 6*time.Second {
		t.Errorf("one more waits %s", wait)
	}
	server.SetTime(start.Add(-time.Hour))
	if wait := fail("acme/one", "192.0.2.1"); wait > 6*time.Second {
		t.Errorf("a clock that was set back locks out for %s", wait)
	}
	server.SetTime(start.Add(time.Hour))
	told := [2]int{}
	for n := range 100 { // one guess at each of many clients, and of one client from many addresses
		if fail(fmt.Sprint("acme/", n), "192.0.2.9") > 0 {
			told[0]++
		}
		if fail("acme/three", fmt.Sprint("198.51.100.", n)) > 0 {
			told[1]++
		}
	}
	if told != [2]int{40, 40} {
		t.Errorf("of an address and of a client %v of 100 wait", told)
	}
}

func TestC18FailuresAreCountedTogether(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	server.SetTime(time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC))
	var free atomic.Int64
	var group sync.WaitGroup
	for range 10 {
		q := quota.NewRedis(connect(t, server.Addr()), "kg", time.Now)
		for range 5 {
			group.Go(func() {
				if wait, err := q.ClientFailed(t.Context(), "acme/one", "192.0.2.1"); err != nil {
					t.Error(err)
				} else if wait == 0 {
					free.Add(1)
				}
			})
		}
	}
	group.Wait()
	if free.Load() != 10 {
		t.Errorf("%d of 50 failures are within the limit", free.Load())
	}
	q := quota.NewRedis(connect(t, server.Addr()), "kg", time.Now)
	server.Close()
	if _, err := q.ClientFailed(t.Context(), "acme/one", "192.0.2.1"); err == nil {
		t.Error("a store that is away counts")
	}
}
