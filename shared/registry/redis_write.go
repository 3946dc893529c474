package registry

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// The scripts carry no "#!lua" line, which the embedded store does not compile. None writes before it has judged, so that one that is
// refused for want of memory has written nothing.
var (
	//go:embed begin.lua
	beginText string
	//go:embed entry.lua
	entryText string
	//go:embed index.lua
	indexText string
	//go:embed end.lua
	endText string

	beginScript = redis.NewScript(beginText)
	entryScript = redis.NewScript(entryText)
	indexScript = redis.NewScript(indexText)
	endScript   = redis.NewScript(endText)
)

// Write sends a change in its parts, each of which may be sent again: where an answer was lost it is, once.
func (s *redisStore) Write(ctx context.Context, c Change) error {
	if c.empty() {
		return nil
	}
	w := newWriting(c)
	for attempt := range writeAttempts {
		if err := pause(ctx, attempt); err != nil {
			return err
		}
		done, err := s.begin(ctx, &w)
		switch {
		case err != nil:
			return fmt.Errorf("write a change: %w", err)
		case !done:
			continue
		case w.version == "": // it has no object, or somebody else has completed it
			return nil
		}
		return s.complete(ctx, w.version, w.pending)
	}
	return ErrBusy
}

// begin sends the first part. It reports false where it must be sent again, after what stood in its way is gone.
func (s *redisStore) begin(ctx context.Context, w *writing) (bool, error) {
	known := s.head.Load()
	arguments, head, err := w.arguments(*known)
	if err != nil {
		return false, err
	}
	keys := []string{s.space.Snapshot(), s.space.Audit(), s.space.Names(w.kind())}
	answer, err := s.run(ctx, beginScript, keys, arguments...).StringSlice()
	if err != nil {
		return false, err
	}
	if len(answer) == 1 {
		answer = append(answer, "")
	}
	switch answer[0] {
	case "moved":
		return false, ErrMoved
	case "pending":
		return false, s.help(ctx, answer[1])
	case "head":
		s.head.Store(parseHead(answer[1]))
		return false, nil
	}
	s.head.Store(&head)
	if w.c.Name != "" {
		w.version = answer[1]
	}
	return true, nil
}

// help completes the change of somebody who is slow, or dead.
func (s *redisStore) help(ctx context.Context, text string) error {
	version, change, _ := strings.Cut(text, " ")
	var p pending
	if err := json.Unmarshal([]byte(change), &p); err != nil {
		return fmt.Errorf("read the change that is pending: %w", err)
	}
	return s.complete(ctx, version, p)
}

// complete sends the parts behind the first.
func (s *redisStore) complete(ctx context.Context, version string, p pending) error {
	err := s.again(ctx, func() error {
		return s.wave(ctx, func(ctx context.Context, pipe redis.Pipeliner) { s.object(ctx, pipe, version, p) })
	})
	if err != nil {
		return fmt.Errorf("write the object of a change: %w", err)
	}
	arguments := []any{version, p.Next, ""}
	if p.Entry == nil {
		arguments[2] = p.Name
	}
	for _, field := range p.Unset {
		arguments = append(arguments, field)
	}
	keys := []string{s.space.Snapshot(), s.space.Names(p.Kind)}
	if err := s.run(ctx, endScript, keys, arguments...).Err(); err != nil {
		return fmt.Errorf("end a change: %w", err)
	}
	return nil
}

func (s *redisStore) object(ctx context.Context, pipe redis.Pipeliner, version string, p pending) {
	entry := []string{s.space.Entry(p.Kind, p.Name)}
	if p.Entry == nil {
		entryScript.Eval(ctx, pipe, entry, version, rememberRemoval, "")
	} else {
		entryScript.Eval(ctx, pipe, entry, version, "", p.Entry)
		for _, index := range p.Index {
			indexScript.Eval(ctx, pipe, []string{s.space.Index(index)}, p.Name, version, rememberRemoval, p.Entry)
		}
	}
	for _, index := range p.Unindex {
		indexScript.Eval(ctx, pipe, []string{s.space.Index(index)}, p.Name, version, rememberRemoval)
	}
}

func (s *redisStore) Complete(ctx context.Context) error {
	var waiting *redis.StringCmd
	err := s.wave(ctx, func(ctx context.Context, p redis.Pipeliner) {
		waiting = p.HGet(ctx, s.space.Snapshot(), fieldPending)
	})
	if err != nil {
		return fmt.Errorf("read the change that is pending: %w", err)
	}
	if waiting.Val() == "" {
		return nil
	}
	return s.help(ctx, waiting.Val())
}

func (s *redisStore) Audited(ctx context.Context, after, limit int64) ([]string, AuditHead, error) {
	var head *redis.StringCmd
	var entries *redis.StringSliceCmd
	err := s.atomic(ctx, func(ctx context.Context, p redis.Pipeliner) {
		head = p.HGet(ctx, s.space.Snapshot(), fieldAudit)
		entries = p.LRange(ctx, s.space.Audit(), after, after+limit-1)
	})
	if err != nil {
		return nil, AuditHead{}, fmt.Errorf("read the audit trail: %w", err)
	}
	return entries.Val(), *parseHead(head.Val()), nil
}

// run runs a script under the store's deadline, and once more where no answer came.
func (s *redisStore) run(ctx context.Context, script *redis.Script, keys []string, arguments ...any) *redis.Cmd {
	var reply *redis.Cmd
	_ = s.again(ctx, func() error {
		ctx, cancel := context.WithTimeout(ctx, callWithin)
		defer cancel()
		reply = script.Run(ctx, s.client, keys, arguments...)
		return reply.Err()
	})
	return reply
}

// again repeats what may have been done without our hearing of it. What the server itself refused it refuses again.
func (s *redisStore) again(ctx context.Context, send func() error) error {
	err := send()
	var refused redis.Error
	if err == nil || errors.As(err, &refused) || ctx.Err() != nil {
		return err
	}
	return send()
}
