package ledger

import (
	"context"
	_ "embed" // the script
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"keyless/shared/registry"
)

//go:embed entry.lua
var entryText string

var entryScript = redis.NewScript(entryText)

// Line is one run of a script in a wave.
type Line struct {
	Script *redis.Script
	Keys   []string
	Args   []any
}

// Lines are what a settlement runs, in the same wave, to write the entry and to add it to its day's counters.
// The first enters the name into the day's index, which is in another slot of a cluster; the second is the
// entry, which is written once however often it runs. The entry needs a RequestID, a time and an API.
//
//	{c:<consumer>}:e:<request id>  string  mark of a call that is written; lives an hour; an open API's calls
//	                                       without a consumer stand under {a:<api>}
//	{c:<consumer>}:l:<day>         stream  the field entry: an Entry as JSON; the day's newest 20,000; 35 days
//	{c:<consumer>}:u:<day>         hash    <measure>|<api>|<upstream>|<model> → int64; 400 days
//	{u:<day>:<0…15>}               set     c:<consumer> and a:<api> that have counters on the day; 400 days
//
// Days are UTC, 20261125.
func Lines(space registry.Space, e Entry) ([]Line, error) {
	if e.RequestID == "" || e.At.IsZero() || e.API == "" {
		return nil, errors.New("an entry of the ledger needs a request id, a time and an API")
	}
	e = e.bounded()
	text, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("write an entry of the ledger: %w", err)
	}
	day := dayOf(e.At)
	who := whose(Whose{e.Consumer, e.API})
	entriesEnd, countersEnd := day.Add(keepEntries).Unix(), day.Add(keepCounters).Unix()
	write := Line{
		Script: entryScript,
		Keys: []string{
			subjectKey(space, who, "e", e.RequestID), subjectKey(space, who, "l", dayName(day)),
			subjectKey(space, who, "u", dayName(day)),
		},
		Args: []any{
			int64(keepMark / time.Second), text, maxEntries, entriesEnd, countersEnd, maxFields,
			e.combination(), combination(e.API, otherName, otherName),
		},
	}
	for _, m := range e.measures() {
		write.Args = append(write.Args, m.name, m.amount)
	}
	index := Line{
		Script: indexScript, Keys: []string{indexKey(space, day, shardOf(who))}, Args: []any{who, countersEnd},
	}
	return []Line{index, write}, nil
}

// indexScript is two commands in one line.
var indexScript = redis.NewScript(`-- keyless ledger index, version 1: KEYS the index; ARGV a name, expiry
redis.call('SADD', KEYS[1], ARGV[1])
return redis.call('EXPIREAT', KEYS[1], ARGV[2])`)

func subjectKey(space registry.Space, who, what, name string) string {
	return string(space) + ":{" + who + "}:" + what + ":" + name
}

func indexKey(space registry.Space, day time.Time, shard int) string {
	return string(space) + ":{u:" + dayName(day) + ":" + strconv.Itoa(shard) + "}"
}

// shards spread the index of a day over a cluster: every settlement touches it.
const shards = 16

func shardOf(who string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(who)) // never fails
	return int(h.Sum32() % shards)
}

// Ledger answers what was used. Make one with New; safe for concurrent use.
type Ledger struct {
	client redis.UniversalClient
	space  registry.Space
	now    func() time.Time
}

// New reads the ledger in Redis, under the prefix cell. now is the process's clock.
func New(client redis.UniversalClient, cell string, now func() time.Time) *Ledger {
	return &Ledger{client: client, space: registry.Space(cell), now: now}
}

// Entries returns calls of one day (UTC, "2026-11-25", at most 35 days ago) in the order in which they were
// settled, at most limit of them (1 to 1,000; 0 is 100), that follow after ("" the first), and what to ask
// after next: "" where there are no more. One round trip. ErrQuestion where it is asked wrongly.
func (l *Ledger) Entries(
	ctx context.Context, of Whose, day, after string, limit int,
) ([]Entry, string, error) {
	date, err := parseDay(day)
	if limit == 0 {
		limit = defaultPage
	}
	if err != nil || limit < 1 || limit > maxPage || of == (Whose{}) || after != "" && !streamID(after) {
		return nil, "", ErrQuestion
	}
	from := "-"
	if after != "" {
		from = "(" + after
	}
	key := subjectKey(l.space, whose(of), "l", dayName(date))
	found, err := l.client.XRangeN(ctx, key, from, "+", int64(limit)+1).Result()
	if err != nil {
		return nil, "", fmt.Errorf("read the ledger: %w", err)
	}
	next := ""
	if len(found) > limit {
		found = found[:limit]
		next = found[limit-1].ID
	}
	entries := make([]Entry, len(found))
	for i, one := range found {
		text, _ := one.Values["entry"].(string)
		if err := json.Unmarshal([]byte(text), &entries[i]); err != nil {
			return nil, "", fmt.Errorf("read entry %s of the ledger: %w", one.ID, err)
		}
	}
	return entries, next, nil
}

// streamID reports whether a text is what Entries returned: milliseconds, "-", a number.
func streamID(text string) bool {
	milliseconds, number, both := strings.Cut(text, "-")
	_, err := strconv.ParseUint(milliseconds, 10, 64)
	_, numberErr := strconv.ParseUint(number, 10, 64)
	return both && err == nil && numberErr == nil
}

// Report adds up what was used. Its round trips grow with the days and the names that have counters on them:
// two a day, and one a hundred names; of one consumer one a hundred days. ErrQuestion where it is asked wrongly,
// ErrWide where it would read more than 200,000 days of names; others wrap the store's.
func (l *Ledger) Report(ctx context.Context, q Question) ([]Row, error) {
	days, err := q.days()
	if err != nil {
		return nil, err
	}
	sum := newSum(q)
	reads, err := l.reads(ctx, q, days)
	if err != nil {
		return nil, err
	}
	for some := range slices.Chunk(reads, readsAtOnce) {
		hashes, err := l.hashes(ctx, some)
		if err != nil {
			return nil, err
		}
		for i, fields := range hashes {
			if err := sum.add(some[i], fields); err != nil {
				return nil, err
			}
		}
	}
	return sum.rows(), nil
}

// read is one hash of counters: a name's day.
type read struct {
	day time.Time
	who string
}

// reads lists the hashes that the question needs. Where it names a consumer, the index is not asked.
func (l *Ledger) reads(ctx context.Context, q Question, days []time.Time) ([]read, error) {
	var reads []read
	if q.Consumer != "" {
		for _, day := range days {
			reads = append(reads, read{day, whose(Whose{Consumer: q.Consumer})})
		}
		return reads, nil
	}
	for _, day := range days {
		p := l.client.Pipeline()
		sizes, members := make([]*redis.IntCmd, shards), make([]*redis.StringSliceCmd, shards)
		for n := range shards {
			sizes[n] = p.SCard(ctx, indexKey(l.space, day, n))
		}
		if _, err := p.Exec(ctx); err != nil {
			return nil, fmt.Errorf("read the names of a day: %w", err)
		}
		total := int64(0)
		for _, size := range sizes {
			total += size.Val()
		}
		if total+int64(len(reads)) > maxReads {
			return nil, ErrWide
		}
		if total == 0 {
			continue
		}
		p = l.client.Pipeline()
		for n := range shards {
			members[n] = p.SMembers(ctx, indexKey(l.space, day, n))
		}
		if _, err := p.Exec(ctx); err != nil {
			return nil, fmt.Errorf("read the names of a day: %w", err)
		}
		for _, names := range members {
			for _, who := range names.Val() {
				reads = append(reads, read{day, who})
			}
		}
	}
	return reads, nil
}

func (l *Ledger) hashes(ctx context.Context, reads []read) ([]map[string]string, error) {
	p := l.client.Pipeline()
	found := make([]*redis.MapStringStringCmd, len(reads))
	for i, one := range reads {
		found[i] = p.HGetAll(ctx, subjectKey(l.space, one.who, "u", dayName(one.day)))
	}
	if _, err := p.Exec(ctx); err != nil {
		return nil, fmt.Errorf("read counters: %w", err)
	}
	hashes := make([]map[string]string, len(reads))
	for i, one := range found {
		hashes[i] = one.Val()
	}
	return hashes, nil
}
