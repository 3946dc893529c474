package proxy

import (
	"sync"
	"time"
)

// Bounds of retries in a process, so that an outage is not multiplied by those who want to get around it.
const (
	budgetWindow = 10 * time.Second
	retryShare   = 5  // one retry for so many calls of the last window and this one
	retryFloor   = 10 // in a window, however few calls there are
)

// budget counts calls and retries in two windows of wall clock: the one under way and the one before.
type budget struct {
	now func() time.Time

	mu      sync.Mutex // guards all below
	began   time.Time
	calls   [2]int // this window's, the last one's
	retries [2]int
}

func newBudget(now func() time.Time) *budget {
	return &budget{now: func() time.Time { return now().Round(0) }}
}

// call counts a call's first attempt.
func (b *budget) call() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.move()
	b.calls[0]++
}

// retry reports whether one more attempt is within the budget, and counts it.
func (b *budget) retry() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.move()
	if b.retries[0]+b.retries[1] >= retryFloor+(b.calls[0]+b.calls[1])/retryShare {
		return false
	}
	b.retries[0]++
	return true
}

// move begins a new window where the one under way is over; the lock is held.
func (b *budget) move() {
	age := b.now().Sub(b.began)
	switch {
	case age >= 2*budgetWindow || age < 0:
		b.calls, b.retries = [2]int{}, [2]int{}
	case age >= budgetWindow:
		b.calls, b.retries = [2]int{0, b.calls[0]}, [2]int{0, b.retries[0]}
	default:
		return
	}
	b.began = b.now()
}
