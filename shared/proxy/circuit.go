package proxy

import (
	"context"
	"sync"
	"time"
)

// Circuits tells other processes which upstreams fail. Made by NewCircuits; an error costs nobody a call.
type Circuits interface {
	// Learn returns until when the upstream is left alone; the zero time where it works as far as anybody knows.
	Learn(ctx context.Context, upstream string) (until time.Time, err error)
	// Tell says until when it is left alone; the zero time: it works again.
	Tell(ctx context.Context, upstream string, until time.Time) error
	// Probe reports whether this process is the one that tries the upstream, for so long.
	Probe(ctx context.Context, upstream string, within time.Duration) (mine bool, err error)
}

// Bounds of a circuit.
const (
	// opensAfter failures in a row, all within failingWithin, an upstream is left alone for pause: few enough that an outage costs
	// little, and more than the odd error of a provider that works.
	opensAfter    = 5
	failingWithin = 30 * time.Second
	pause         = 10 * time.Second
	// probeWithin is how long one try may keep others from trying.
	probeWithin = 30 * time.Second
	// learnEvery bounds what an outage costs the store: a read a second for each process and upstream.
	learnEvery = time.Second
	// shareWithin bounds what a word to the other processes may delay a call that failed.
	shareWithin = 250 * time.Millisecond
	// maxFuses is above what a registry has; beyond, all is forgotten.
	maxFuses = 4096
)

// breaker keeps a circuit for each upstream. It is closed while the upstream works; opens after some failures in a row; and when the
// pause is over one call tries whether it works again. Wall clocks are compared: a frozen process must notice.
type breaker struct {
	now    func() time.Time
	shared Circuits // nil: this process is alone

	mu    sync.Mutex // guards fuses; never held across I/O
	fuses map[string]*fuse
}

type fuse struct {
	failures int       // in a row
	since    time.Time // of the first of them
	until    time.Time // open until then; zero: closed
	probe    time.Time // a try of ours is under way until then
	learnt   time.Time // when the others were last asked
}

func newBreaker(now func() time.Time, shared Circuits) *breaker {
	return &breaker{now: func() time.Time { return now().Round(0) }, shared: shared, fuses: map[string]*fuse{}}
}

// allows reports whether the upstream may be called. Whoever is let through an open circuit is the one that tries, and has to tell what
// became of it: failed, worked or unknown.
func (b *breaker) allows(ctx context.Context, upstream string) bool {
	now := b.now()
	b.mu.Lock()
	f := b.fuses[upstream]
	if f == nil || f.until.IsZero() {
		b.mu.Unlock()
		return true
	}
	if now.Before(f.until) || now.Before(f.probe) {
		b.mu.Unlock()
		return false
	}
	f.probe = now.Add(probeWithin)
	b.mu.Unlock()
	if b.shared == nil {
		return true
	}
	ctx, cancel := share(ctx)
	defer cancel()
	if until, err := b.shared.Learn(ctx, upstream); err == nil && until.After(now) {
		b.set(upstream, fuse{until: until}) // somebody has tried already, in vain
		return false
	}
	mine, err := b.shared.Probe(ctx, upstream, probeWithin)
	if err == nil && !mine {
		b.set(upstream, fuse{until: now.Add(learnEvery)})
		return false
	}
	return true
}

// failed counts a failure.
func (b *breaker) failed(ctx context.Context, upstream string) {
	now := b.now()
	b.mu.Lock()
	f := b.fuse(upstream)
	if f.failures == 0 || now.Sub(f.since) > failingWithin {
		f.failures, f.since = 0, now
	}
	f.failures++
	opens := f.failures >= opensAfter || !f.until.IsZero()
	if opens {
		f.until, f.probe = now.Add(pause), time.Time{}
	}
	learns := !opens && b.shared != nil && now.Sub(f.learnt) >= learnEvery
	if learns {
		f.learnt = now
	}
	until := f.until
	b.mu.Unlock()
	ctx, cancel := share(ctx)
	defer cancel()
	switch {
	case opens && b.shared != nil:
		_ = b.shared.Tell(ctx, upstream, until) // the others find out by themselves
	case learns:
		if until, err := b.shared.Learn(ctx, upstream); err == nil && until.After(now) {
			b.set(upstream, fuse{until: until, learnt: now})
		}
	}
}

// worked closes the circuit.
func (b *breaker) worked(ctx context.Context, upstream string) {
	b.mu.Lock()
	f := b.fuses[upstream]
	open := f != nil && !f.until.IsZero()
	delete(b.fuses, upstream)
	b.mu.Unlock()
	if open && b.shared != nil {
		ctx, cancel := share(ctx)
		defer cancel()
		_ = b.shared.Tell(ctx, upstream, time.Time{})
	}
}

// unknown ends a try that told nothing: its client hung up.
func (b *breaker) unknown(upstream string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f := b.fuses[upstream]; f != nil {
		f.probe = time.Time{}
	}
}

func (b *breaker) set(upstream string, state fuse) {
	b.mu.Lock()
	defer b.mu.Unlock()
	*b.fuse(upstream) = state
}

// fuse is the upstream's; the lock is held.
func (b *breaker) fuse(upstream string) *fuse {
	f := b.fuses[upstream]
	if f == nil {
		if len(b.fuses) >= maxFuses {
			clear(b.fuses)
		}
		f = &fuse{}
		b.fuses[upstream] = f
	}
	return f
}

// share bounds a word to the others, which is due though the client may be gone.
func share(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), shareWithin)
}
