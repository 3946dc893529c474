package ledger_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"keyless/shared/ledger"
	"keyless/shared/registry/storetest"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// book is a ledger and a way to write into it.
type book struct {
	*ledger.Ledger
	client redis.UniversalClient
}

func newBook(t testing.TB, address string) *book {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: address, ReadTimeout: time.Minute}) // the machine may be busy
	t.Cleanup(func() { _ = client.Close() })
	return &book{ledger.New(client, "kg", time.Now), client}
}

func (b *book) write(t testing.TB, e ledger.Entry) {
	t.Helper()
	lines, err := ledger.Lines("kg", e)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		if err := l.Script.Run(t.Context(), b.client, l.Keys, l.Args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func eachServer(t *testing.T, test func(t *testing.T, b *book)) {
	t.Parallel()
	t.Run("miniredis", func(t *testing.T) { t.Parallel(); test(t, newBook(t, miniredis.RunT(t).Addr())) })
	t.Run("redis-server", func(t *testing.T) { t.Parallel(); test(t, newBook(t, storetest.Redis(t))) })
}

// entry is a call of today, for nothing that the store keeps may be over already.
func entry(id string, change func(*ledger.Entry)) ledger.Entry {
	e := ledger.Entry{
		RequestID: id, At: time.Now(), Domain: "default", API: "models", Consumer: "c1", Upstream: "u", Model: "m",
		Usage: ledger.Usage{Input: 100, CachedInput: 40, Output: 10, Reasoning: 4}, Cost: 250, Status: 200,
		End: ledger.EndComplete, Attempts: 1, Latency: 900, FirstToken: 80,
	}
	if change != nil {
		change(&e)
	}
	return e
}

func date(t time.Time) string { return t.UTC().Format("2006-01-02") }

func TestReport(t *testing.T) {
	eachServer(t, func(t *testing.T, b *book) {
		now := time.Now()
		yesterday := now.AddDate(0, 0, -1)
		for range 2 { // whatever is sent twice is written once
			b.write(t, entry("r1", nil))
			b.write(t, entry("r2", func(e *ledger.Entry) { e.Model = "odd|model"; e.FirstToken = 0 }))
			b.write(t, entry("r3", func(e *ledger.Entry) { e.Consumer, e.API = "", "open" }))
			b.write(t, entry("r4", func(e *ledger.Entry) { e.Consumer = "c2"; e.End = ledger.EndCut; e.Upstream = "v" }))
			b.write(t, entry("r5", func(e *ledger.Entry) { e.At = yesterday; e.Status = 502 }))
		}
		report := func(q ledger.Question) string {
			t.Helper()
			if q.From == "" {
				q.From, q.To = date(yesterday), date(now)
			}
			rows, err := b.Report(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			var lines []string
			for _, r := range rows {
				names := strings.Join([]string{r.Day, r.Consumer, r.API, r.Upstream, r.Model}, ",")
				lines = append(lines, fmt.Sprintf("%s %d/%d %d %d", names, r.Calls, r.Errors, r.Input, r.Cost))
			}
			return strings.Join(lines, "; ")
		}
		tests := map[string]struct {
			q    ledger.Question
			want string
		}{
			"all together": {ledger.Question{}, ",,,, 5/2 500 1250"},
			"by consumer": {ledger.Question{By: []string{"consumer"}},
				",,,, 1/0 100 250; ,c1,,, 3/1 300 750; ,c2,,, 1/1 100 250"},
			"by day": {ledger.Question{By: []string{"day"}},
				date(yesterday) + ",,,, 1/1 100 250; " + date(now) + ",,,, 4/1 400 1000"},
			"by model and upstream": {ledger.Question{By: []string{"model", "upstream"}},
				",,,u,m 3/1 300 750; ,,,v,m 1/1 100 250; ,,,u,odd|model 1/0 100 250"},
			"of a consumer by API": {ledger.Question{Consumer: "c1", By: []string{"api"}}, ",,models,, 3/1 300 750"},
			"of an API":            {ledger.Question{API: "open"}, ",,,, 1/0 100 250"},
			"of an upstream":       {ledger.Question{Upstream: "v"}, ",,,, 1/1 100 250"},
			"of a model":           {ledger.Question{Model: "odd|model"}, ",,,, 1/0 100 250"},
			"of nobody":            {ledger.Question{Consumer: "nobody"}, ",,,, 0/0 0 0"},
			"of nobody, by day":    {ledger.Question{Consumer: "nobody", By: []string{"day"}}, ""},
			"of one day":           {ledger.Question{From: date(now), To: date(now)}, ",,,, 4/1 400 1000"},
			"of days without calls": {ledger.Question{From: "2026-01-01", To: "2026-01-03",
				By: []string{"day"}}, ""},
		}
		for name, test := range tests {
			if got := report(test.q); got != test.want {
				t.Errorf("%s: %s, want %s", name, got, test.want)
			}
		}
		rows, err := b.Report(t.Context(), ledger.Question{From: date(now), To: date(now), Consumer: "c1"})
		want := ledger.Counts{Calls: 2, Input: 200, CachedInput: 80, Output: 20, Reasoning: 8, Cost: 500, Latency: 1800,
			FirstToken: 80, FirstTokens: 1}
		if err != nil || rows[0].Counts != want {
			t.Errorf("counts %+v, %v", rows, err)
		}
	})
}

func TestQuestionsThatAreNone(t *testing.T) {
	t.Parallel()
	b := newBook(t, miniredis.RunT(t).Addr())
	for name, q := range map[string]ledger.Question{
		"no days":              {},
		"not a day":            {From: "2026-02-30", To: "2026-03-01"},
		"backwards":            {From: "2026-11-25", To: "2026-11-24"},
		"401 days":             {From: "2025-10-21", To: "2026-11-25"},
		"by what is not":       {From: "2026-11-25", To: "2026-11-25", By: []string{"client"}},
		"by the same thing":    {From: "2026-11-25", To: "2026-11-25", By: []string{"day", "day"}},
		"a day with an hour":   {From: "2026-11-25T00", To: "2026-11-25"},
		"by an empty name too": {From: "2026-11-25", To: "2026-11-25", By: []string{""}},
	} {
		if rows, err := b.Report(t.Context(), q); !errors.Is(err, ledger.ErrQuestion) {
			t.Errorf("%s: %v, %v", name, rows, err)
		}
	}
	if _, err := b.Report(t.Context(), ledger.Question{From: "2025-10-22", To: "2026-11-25"}); err != nil {
		t.Errorf("400 days: %v", err)
	}
	for name, q := range map[string]struct {
		of         ledger.Whose
		day, after string
		limit      int
	}{
		"nobody":        {ledger.Whose{}, "2026-11-25", "", 1},
		"no day":        {ledger.Whose{API: "a"}, "", "", 1},
		"not a place":   {ledger.Whose{API: "a"}, "2026-11-25", "+", 1},
		"half a place":  {ledger.Whose{API: "a"}, "2026-11-25", "12", 1},
		"too many":      {ledger.Whose{API: "a"}, "2026-11-25", "", 1001},
		"fewer than 0":  {ledger.Whose{API: "a"}, "2026-11-25", "", -1},
		"no such place": {ledger.Whose{API: "a"}, "2026-11-25", "x-1", 1},
	} {
		if _, _, err := b.Entries(t.Context(), q.of, q.day, q.after, q.limit); !errors.Is(err, ledger.ErrQuestion) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEntries(t *testing.T) {
	eachServer(t, func(t *testing.T, b *book) {
		for i := range 7 {
			b.write(t, entry(fmt.Sprint("r", i), func(e *ledger.Entry) { e.Client = "batch"; e.Attempts = i }))
		}
		b.write(t, entry("open", func(e *ledger.Entry) { e.Consumer = "" }))
		var got []string
		after, pages := "", 0
		for {
			list, next, err := b.Entries(t.Context(), ledger.Whose{Consumer: "c1"}, date(time.Now()), after, 3)
			if err != nil {
				t.Fatal(err)
			}
			pages++
			for _, e := range list {
				got = append(got, e.RequestID)
			}
			if after = next; after == "" {
				break
			}
		}
		if fmt.Sprint(got) != "[r0 r1 r2 r3 r4 r5 r6]" || pages != 3 {
			t.Errorf("%d pages: %v", pages, got)
		}
		list, next, err := b.Entries(t.Context(), ledger.Whose{API: "models"}, date(time.Now()), "", 0)
		want := entry("open", func(e *ledger.Entry) { e.Consumer = "" })
		if err != nil || next != "" || len(list) != 1 {
			t.Fatalf("%v, %q, %v", list, next, err)
		}
		want.At = list[0].At
		if list[0] != want {
			t.Errorf("%+v, want %+v", list[0], want)
		}
	})
}

// Nothing that a caller or an upstream writes grows without bound, or becomes another counter.
func TestBounds(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	b := newBook(t, server.Addr())
	key := "kg:{c:c1}:u:" + time.Now().UTC().Format("20060102")
	b.write(t, entry("known", nil))
	var many []any
	for i := range 3985 {
		many = append(many, fmt.Sprint("calls|models|u|model-", i), 1)
	}
	if err := b.client.HSet(t.Context(), key, many...).Err(); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		b.write(t, entry(fmt.Sprint("r", i), func(e *ledger.Entry) { e.Model = fmt.Sprint("new-", i) }))
	}
	b.write(t, entry("known again", nil))
	b.write(t, entry("long", func(e *ledger.Entry) {
		e.Consumer, e.Model, e.Subject = "long", strings.Repeat("é", 5000), "bad\xff"
		e.Usage.Input, e.Usage.Output, e.Cost = 1<<62, -7, 1<<62
	}))
	fields, err := b.client.HLen(t.Context(), key).Result()
	if err != nil || fields > 4020 {
		t.Errorf("%d counters, %v", fields, err)
	}
	rows, err := b.Report(t.Context(), ledger.Question{From: date(time.Now()), To: date(time.Now()), Consumer: "c1",
		By: []string{"model"}})
	total, others, known := int64(0), int64(0), int64(0)
	for _, r := range rows {
		total += r.Calls
		switch r.Model {
		case "(other)":
			others = r.Calls
		case "m":
			known = r.Calls
		}
	}
	if err != nil || total != 3985+22 || others < 15 || known != 2 {
		t.Errorf("%d calls, %d of them others, %d of a known model, %v", total, others, known, err)
	}
	list, _, err := b.Entries(t.Context(), ledger.Whose{Consumer: "long"}, date(time.Now()), "", 0)
	if err != nil || len(list) != 1 || len(list[0].Model) > 256 || list[0].Subject != "bad\uFFFD" ||
		list[0].Usage.Input != 1_000_000_000_000 || list[0].Usage.Output != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	server.FastForward(36 * 24 * time.Hour)
	if keys := server.Keys(); len(keys) == 0 || strings.Contains(strings.Join(keys, " "), ":l:") {
		t.Errorf("after 36 days %v", keys)
	}
	server.FastForward(365 * 24 * time.Hour)
	if keys := server.Keys(); len(keys) != 0 {
		t.Errorf("after 401 days %v", keys)
	}
}

func TestEntriesThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*ledger.Entry){
		"no request id": func(e *ledger.Entry) { e.RequestID = "" },
		"no time":       func(e *ledger.Entry) { e.At = time.Time{} },
		"no API":        func(e *ledger.Entry) { e.API = "" },
	} {
		if lines, err := ledger.Lines("kg", entry("r", change)); err == nil {
			t.Errorf("%s: %v", name, lines)
		}
	}
}

// Many processes at once write each call once.
func TestWrittenAtOnce(t *testing.T) {
	eachServer(t, func(t *testing.T, b *book) {
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				for i := range 25 {
					b.write(t, entry(fmt.Sprint("r", i), nil))
				}
			})
		}
		group.Wait()
		rows, err := b.Report(t.Context(), ledger.Question{From: date(noon), To: date(time.Now().Add(time.Hour))})
		if err != nil || rows[0].Calls != 25 || rows[0].Cost != 25*250 {
			t.Errorf("%+v, %v", rows, err)
		}
	})
}

func TestLedgerWithoutAStore(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	b := newBook(t, server.Addr())
	server.Close()
	if rows, err := b.Report(t.Context(), ledger.Question{From: "2026-11-25", To: "2026-11-25"}); err == nil {
		t.Errorf("rows %v", rows)
	}
	if list, _, err := b.Entries(t.Context(), ledger.Whose{API: "a"}, "2026-11-25", "", 1); err == nil {
		t.Errorf("entries %v", list)
	}
}
