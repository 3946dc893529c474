package quota

import (
	"context"
	_ "embed" // the scripts
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"keyless/shared/ledger"
	"keyless/shared/registry"
)

// The scripts carry no "#!lua" line, which the embedded store does not compile.
var (
	//go:embed admit.lua
	admitText string
	//go:embed settle.lua
	settleText string
	//go:embed failed.lua
	failedText string

	admitScript  = redis.NewScript(admitText)
	settleScript = redis.NewScript(settleText)
	failedScript = redis.NewScript(failedText)
)

// tries is how often a wave is sent whose reply does not arrive: the scripts count a request id once.
const tries = 2

// NewRedis counts in Redis, under the prefix cell as a registry does. now is the process's clock.
//
//	{d:<domain>}:n:<limit>:<window>  int64   calls, model tokens or millionths of the currency, held and used,
//	                                         in the window that starts then, in Unix seconds; lives 25 hours
//	                                         longer; also {a:<api>}, {g:<group>}, {c:<consumer>}; a limit by
//	                                         model is model/<glob>/<limit>
//	{d:<domain>}:r:<request id>      string  what the request holds in which counters; lives 15 minutes, with
//	                                         model tokens or money 25 hours, once settled 15 minutes
//	{a:<api>}:p:<rate>               int64   when the next call would conform, Unix microseconds
//	{a:<api>}:s                      zset    the requests on their way, by the end of their lease, Unix seconds
//	{r:<digest>}                     string  "1": the token is revoked; lives as long as was asked
func NewRedis(client redis.UniversalClient, cell string, now func() time.Time) *Quota {
	return &Quota{scripts: &scripts{client}, space: registry.Space(cell), now: now}
}

// scripts runs ours on a server.
type scripts struct{ client redis.UniversalClient }

// sight is what one wave saw.
type sight struct {
	resent   bool // a reply was lost: a copy of the wave may yet be on its way
	revision string
	revoked  bool
	answers  []answer // as the asks
}

// answer is a subject's: what became of the ask, what the request holds, and how its rules, rates (the
// backlog before the call, in microseconds) and slots stand.
type answer struct {
	status   int64
	held     holding
	counts   []int64
	backlogs []int64
	slots    int64
}

// line is one run of a script in a wave.
type line = ledger.Line

// admit asks all subjects, and reads the revision of the hash snapshot and, where its key is not "", a
// revocation: one write, one read.
func (s *scripts) admit(ctx context.Context, snapshot, revoked string, asks []ask) (sight, error) {
	lines := make([]line, len(asks))
	for i, one := range asks {
		lines[i] = one.line()
	}
	var revision *redis.StringCmd
	var exists *redis.IntCmd
	replies, resent, err := s.wave(ctx, lines, func(p redis.Pipeliner) {
		revision = p.HGet(ctx, snapshot, registry.FieldRevision)
		if revoked != "" {
			exists = p.Exists(ctx, revoked)
		}
	})
	if err != nil {
		return sight{}, err
	}
	seen := sight{
		resent: resent, revision: revision.Val(), revoked: exists != nil && exists.Val() > 0,
		answers: make([]answer, len(asks)),
	}
	for i, reply := range replies {
		if seen.answers[i], err = readAnswer(reply, asks[i]); err != nil {
			return sight{}, err
		}
	}
	return seen, nil
}

// settle corrects what requests hold, and runs the ledger's lines in the same wave.
func (s *scripts) settle(ctx context.Context, changes []change, more []line) error {
	lines := make([]line, 0, len(changes)+len(more))
	for _, one := range changes {
		lines = append(lines, one.line())
	}
	_, _, err := s.wave(ctx, append(lines, more...), func(redis.Pipeliner) {})
	return err
}

// failed returns the milliseconds to wait, by line. A wave that is sent again after a lost reply counts
// twice: the limit is strict by one.
func (s *scripts) failed(ctx context.Context, lines []line) ([]int64, error) {
	for i := range lines {
		lines[i].Script = failedScript
	}
	replies, _, err := s.wave(ctx, lines, func(redis.Pipeliner) {})
	if err != nil {
		return nil, err
	}
	waits := make([]int64, len(replies))
	for i, reply := range replies {
		if waits[i], err = reply.Int64(); err != nil {
			return nil, fmt.Errorf("read a wait: %w", errReply)
		}
	}
	return waits, nil
}

// line puts an ask into the form that admit.lua reads.
func (a ask) line() line {
	held := a.holding()
	slots, entries := 0, 0
	keys := a.taking(held).keys[:1+len(a.rules)]
	for _, r := range a.rates {
		keys = append(keys, a.rateKey(r))
	}
	if a.slots > 0 {
		slots = 1
		keys = append(keys, a.slotsKey())
	}
	if a.entry != "" {
		entries = 1
		keys = append(keys, a.entry)
	}
	args := []any{
		len(a.rules), len(a.rates), slots, entries, a.requestID, held.record, seconds(a.keep()),
		seconds(tolerance), a.version, a.attempt,
	}
	for _, r := range a.rules {
		end := r.window.end.Unix()
		args = append(args, r.limit, r.ask, r.window.start.Unix(), end, end+seconds(keepCounter), flag(r.shadow))
	}
	for _, r := range a.rates {
		args = append(args, r.every, r.burst, flag(r.shadow))
	}
	if a.slots > 0 {
		args = append(args, a.slots, seconds(a.longest), seconds(longestCall))
	}
	return line{Script: admitScript, Keys: keys, Args: args}
}

func flag(on bool) int {
	if on {
		return 1
	}
	return 0
}

// line puts a change into the form that settle.lua reads.
func (c change) line() line {
	after, keep := c.after, keepSettled
	if after == afterFail {
		after, keep = after+c.attempt, keepVoid
	}
	args := []any{c.record, after, seconds(keep), c.requestID}
	for _, by := range c.by {
		args = append(args, by)
	}
	return line{Script: settleScript, Keys: c.keys, Args: args}
}

// wave runs the lines, and what else there is, in one pipeline. Where a server does not know a script the
// whole is sent again with the texts; where no reply comes it is sent again as it
// is, and the second result is true.
func (s *scripts) wave(
	ctx context.Context, lines []line, also func(redis.Pipeliner),
) ([]*redis.Cmd, bool, error) {
	run, known := (*redis.Script).EvalSha, true
	for try := 1; ; {
		p := s.client.Pipeline()
		also(p)
		replies := make([]*redis.Cmd, len(lines))
		for i, l := range lines {
			replies[i] = run(l.Script, ctx, p, l.Keys, l.Args...)
		}
		commands, _ := p.Exec(ctx) // every command holds its own error
		err := firstError(commands)
		if err == nil {
			return replies, try > 1, nil
		}
		if known && redis.HasErrorPrefix(err, "NOSCRIPT") {
			run, known = (*redis.Script).Eval, false
		} else if try++; try > tries || answered(err) || ctx.Err() != nil {
			return nil, try > 1, err
		}
	}
}

// firstError looks at every reply, for a pipeline reports a missing revision before a failure behind it.
// A missing script is the last to be told: it must not hide another failure.
func firstError(commands []redis.Cmder) error {
	var unknown error
	for _, command := range commands {
		switch err := command.Err(); {
		case err == nil, errors.Is(err, redis.Nil):
		case redis.HasErrorPrefix(err, "NOSCRIPT"):
			unknown = err
		default:
			return err
		}
	}
	return unknown
}

// answered reports whether the error is what a server said; otherwise it is the connection's.
func answered(err error) bool {
	var said redis.Error
	return errors.As(err, &said)
}

// awayAnswers begin what a server says that cannot do its work now; whatever else it says is a fault of ours
// or of its configuration.
var awayAnswers = []string{
	"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "OOM", "NOREPLICAS", "MISCONF",
	"ERR max number of clients reached",
}

// away reports whether the error of a wave means that the store cannot be reached.
func away(err error) bool {
	if errors.Is(err, errReply) || errors.Is(err, redis.ErrClosed) {
		return false
	}
	if !answered(err) {
		return true
	}
	return slices.ContainsFunc(awayAnswers, func(prefix string) bool {
		return strings.HasPrefix(strings.TrimPrefix(err.Error(), "ERR "), strings.TrimPrefix(prefix, "ERR "))
	})
}

// readAnswer trusts no reply: it may be a newer script's.
func readAnswer(reply *redis.Cmd, one ask) (answer, error) {
	list, err := reply.Slice()
	if err != nil || len(list) < 2 {
		return answer{}, fmt.Errorf("read an admission of %d parts: %w", len(list), errReply)
	}
	status, isStatus := list[0].(int64)
	record, isRecord := list[1].(string)
	numbers := make([]int64, 0, len(list)-2)
	for _, part := range list[2:] {
		number, ok := part.(int64)
		isStatus = isStatus && ok
		numbers = append(numbers, number)
	}
	counted := status == statusAdmitted || status == statusFull
	rules, rates, slots := len(one.rules), len(one.rates), flag(one.slots > 0)
	if !isStatus || !isRecord || counted && len(numbers) != rules+rates+slots {
		return answer{}, fmt.Errorf("read an admission: %w", errReply)
	}
	a := answer{status: status}
	if a.held, err = readRecord(record); err != nil || !counted {
		return a, err
	}
	a.counts, a.backlogs = numbers[:rules], numbers[rules:rules+rates]
	if slots > 0 {
		a.slots = numbers[rules+rates]
	}
	return a, nil
}

var errReply = errors.New("the store answers what the script does not say")

// Revoke remembers a digest (registry.Revocation) for a time: until the token would have expired. Again is
// the same. Nothing is remembered of what has expired already. One round trip.
func (q *Quota) Revoke(ctx context.Context, digest string, keep time.Duration) error {
	if keep <= 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, admitWithin)
	defer cancel()
	if err := q.scripts.client.Set(ctx, q.space.Revoked(digest), "1", max(keep, time.Second)).Err(); err != nil {
		return fmt.Errorf("remember a revocation: %w", err)
	}
	return nil
}

// Revoked reports of each digest whether it is remembered. An error means that nobody knows, which is no
// permission. One round trip; none where nothing is asked.
func (q *Quota) Revoked(ctx context.Context, digests ...string) ([]bool, error) {
	if len(digests) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, admitWithin)
	defer cancel()
	p := q.scripts.client.Pipeline()
	exist := make([]*redis.IntCmd, len(digests))
	for i, digest := range digests {
		exist[i] = p.Exists(ctx, q.space.Revoked(digest))
	}
	if _, err := p.Exec(ctx); err != nil {
		return nil, fmt.Errorf("look up revocations: %w", err)
	}
	revoked := make([]bool, len(digests))
	for i, one := range exist {
		revoked[i] = one.Val() > 0
	}
	return revoked, nil
}

// First remembers a key for a time and reports whether it was new: what may be used once is used once, on any
// number of instances. An error means that nobody knows, which is no permission. One round trip.
//
//	{o:<key>}  string  "1"; lives as long as was asked
func (q *Quota) First(ctx context.Context, key string, remember time.Duration) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, admitWithin)
	defer cancel()
	first, err := q.scripts.client.SetNX(ctx, q.space.Once(key), "1", remember).Result()
	if err != nil {
		return false, fmt.Errorf("remember what may be used once: %w", err)
	}
	return first, nil
}
