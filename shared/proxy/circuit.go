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
	// little, and more than the odd error of a provider that works. Those that one consumer's requests may bring about by themselves
	// (faint) count from the second consumer on, so that none closes an upstream to all others.
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
	clear    int       // those of them that are not faint
	who      string    // the consumer of the first
	several  bool      // others met some too
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

// count takes a failure and reports whether it opens the circuit. A try through an open one that fails faintly tells nothing, unless
// several consumers met the failures: the next call tries.
func (f *fuse) count(now time.Time, who string, faint bool) (opens bool) {
	if f.failures == 0 || now.Sub(f.since) > failingWithin {
		f.failures, f.clear, f.since, f.who, f.several = 0, 0, now, who, false
	}
	f.failures++
	if !faint {
		f.clear++
	}
	f.several = f.several || who != f.who
	counted := f.clear
	if f.several {
		counted = f.failures
	}
	if f.until.IsZero() {
		return counted >= opensAfter
	}
	f.probe = time.Time{}
	return !faint || f.several
}

// failed counts a failure that a consumer met, "" for one without a name.
func (b *breaker) failed(ctx context.Context, upstream, who string, faint bool) {
	now := b.now()
	b.mu.Lock()
	f := b.fuse(upstream)
	opens := f.count(now, who, faint)
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
