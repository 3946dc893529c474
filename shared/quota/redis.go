package quota

import (
	"context"
	_ "embed" // the scripts
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"keyless/shared/registry"
)

// The scripts carry no "#!lua" line, which the embedded store does not compile.
var (
	//go:embed admit.lua
	admitText string
	//go:embed giveback.lua
	giveBackText string
	//go:embed failed.lua
	failedText string

	admitScript    = redis.NewScript(admitText)
	giveBackScript = redis.NewScript(giveBackText)
	failedScript   = redis.NewScript(failedText)
)

// tries is how often a wave is sent whose reply does not arrive: the scripts count a request id once.
const tries = 2

// NewRedis counts in Redis, under the prefix cell as a registry does. now is the process's clock.
//
//	{d:<domain>}:n:<limit>:<window>  int64   calls counted in the window that starts then, in Unix seconds;
//	                                         lives a day longer; also {a:<api>}, {g:<group>}, {c:<consumer>}
//	{d:<domain>}:r:<request id>      string  the counters that hold the request; lives 15 minutes
func NewRedis(client redis.UniversalClient, cell string, now func() time.Time) *Quota {
	return &Quota{scripts: &scripts{client}, space: registry.Space(cell), now: now}
}

// scripts runs ours on a server.
type scripts struct{ client redis.UniversalClient }

// sight is what one wave saw.
type sight struct {
	revision string
	answers  []answer // as the asks
}

// answer is a subject's: what became of the ask, the counters that hold the request, and the counts as
// its rules.
type answer struct {
	status int64
	record string
	counts []int64
}

// line is one run of a script in a wave.
type line struct {
	keys []string
	args []any
}

// admit asks all subjects and reads the revision of the hash snapshot: one write, one read.
func (s *scripts) admit(ctx context.Context, snapshot string, asks []ask) (sight, error) {
	lines := make([]line, len(asks))
	for i, one := range asks {
		lines[i] = one.line()
	}
	var revision *redis.StringCmd
	replies, err := s.wave(ctx, admitScript, lines, func(p redis.Pipeliner) {
		revision = p.HGet(ctx, snapshot, registry.FieldRevision)
	})
	if err != nil {
		return sight{}, err
	}
	seen := sight{revision: revision.Val(), answers: make([]answer, len(asks))}
	for i, reply := range replies {
		if seen.answers[i], err = readAnswer(reply, len(asks[i].rules)); err != nil {
			return sight{}, err
		}
	}
	return seen, nil
}

func (s *scripts) giveBack(ctx context.Context, taken []taking) error {
	lines := make([]line, len(taken))
	for i, one := range taken {
		lines[i] = line{one.keys, []any{one.record}}
	}
	_, err := s.wave(ctx, giveBackScript, lines, func(redis.Pipeliner) {})
	return err
}

// failed returns the milliseconds to wait, by line. A wave that is sent again after a lost reply counts twice: the
// limit is strict by one.
func (s *scripts) failed(ctx context.Context, lines []line) ([]int64, error) {
	replies, err := s.wave(ctx, failedScript, lines, func(redis.Pipeliner) {})
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
	l := line{
		keys: a.taking(a.record()).keys[:1+len(a.rules)],
		args: []any{
			a.version, a.record(), int64(keepReservation / time.Second), int64(tolerance / time.Second),
		},
	}
	if a.entry != "" {
		l.keys = append(l.keys, a.entry)
	}
	for _, r := range a.rules {
		end := r.window.end.Unix()
		l.args = append(l.args, r.limit, r.window.start.Unix(), end, end+int64(keepCounter/time.Second))
	}
	return l
}

// wave runs the script once for each line, and what else there is, in one pipeline. Where a server does
// not know the script the whole is sent again with its text; where no reply comes it is sent again as it
// is.
func (s *scripts) wave(
	ctx context.Context, script *redis.Script, lines []line, also func(redis.Pipeliner),
) ([]*redis.Cmd, error) {
	run, known := script.EvalSha, true
	for try := 1; ; {
		p := s.client.Pipeline()
		also(p)
		replies := make([]*redis.Cmd, len(lines))
		for i, l := range lines {
			replies[i] = run(ctx, p, l.keys, l.args...)
		}
		commands, _ := p.Exec(ctx) // every command holds its own error
		err := firstError(commands)
		if err == nil {
			return replies, nil
		}
		if known && redis.HasErrorPrefix(err, "NOSCRIPT") {
			run, known = script.Eval, false
		} else if try++; try > tries || answered(err) || ctx.Err() != nil {
			return nil, err
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

// readAnswer trusts no reply: it may be a newer script's.
func readAnswer(reply *redis.Cmd, rules int) (answer, error) {
	list, err := reply.Slice()
	if err != nil || len(list) < 2 {
		return answer{}, fmt.Errorf("read an admission of %d parts: %w", len(list), errReply)
	}
	status, isStatus := list[0].(int64)
	record, isRecord := list[1].(string)
	a := answer{status: status, record: record}
	for _, part := range list[2:] {
		count, ok := part.(int64)
		isStatus = isStatus && ok
		a.counts = append(a.counts, count)
	}
	counted := status == statusAdmitted || status == statusFull
	if !isStatus || !isRecord || counted && len(a.counts) != rules {
		return answer{}, fmt.Errorf("read an admission: %w", errReply)
	}
	if strings.Count(record, " ") >= maxRecord {
		return answer{}, fmt.Errorf("read a reservation: %w", errReply)
	}
	return a, nil
}

// maxRecord bounds the counters of one reservation: four windows, and room for what a later version
// counts.
const maxRecord = 64

var errReply = errors.New("the store answers what the script does not say")

// First remembers a key for a time and reports whether it was new: what may be used once is used once, on any number of instances.
// An error means that nobody knows, which is no permission. One round trip.
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
