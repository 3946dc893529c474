package emulator

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// runtimeAPI is the HTTP API that a function polls for events; both clouds have the same one under other
// names.
type runtimeAPI struct {
	prefix   string                         // of the invocation resources, with the final slash
	accepted int                            // the status that tells the function its reply arrived
	describe func(http.Header, *invocation) // headers of /next
	extra    func(mux *http.ServeMux)       // further resources, may be nil
	timeout  time.Duration
	exited   <-chan struct{}

	polled     chan struct{} // closed at the first /next
	polledOnce sync.Once
	queue      chan *invocation

	mu   sync.Mutex // guards live
	live map[string]*invocation
}

type invocation struct {
	id       string
	kind     int // Function Compute: 0 event, 1 initializer, 2 pre-stop, 3 pre-freeze
	event    []byte
	deadline time.Time
	reply    chan *Reply // one place, so that a late reply blocks nobody
}

// Reply is what a function gave for one event.
type Reply struct {
	ContentType string
	Body        io.Reader
	Trailer     func() http.Header // complete once Body is at its end
	Failure     []byte             // the posted error, nil if the function replied
	Done        func(status int)   // tells the function how its reply was taken; call it once
}

// Caller hands an event to a function.
type Caller func(ctx context.Context, event []byte) (*Reply, error)

// The errors of a Caller, in Lambda's words.
var (
	errExited   = errors.New("Runtime.ExitError")
	errTimedOut = errors.New("Sandbox.Timedout")
)

func (a *runtimeAPI) handler() http.Handler {
	a.queue, a.polled = make(chan *invocation), make(chan struct{})
	a.live = map[string]*invocation{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+a.prefix+"next", a.next)
	mux.HandleFunc("POST "+a.prefix+"{id}/response", a.response)
	mux.HandleFunc("POST "+a.prefix+"{id}/error", a.failure)
	if a.extra != nil {
		a.extra(mux)
	}
	return mux
}

func (a *runtimeAPI) next(w http.ResponseWriter, r *http.Request) {
	a.polledOnce.Do(func() { close(a.polled) })
	select {
	case inv := <-a.queue:
		inv.deadline = time.Now().Add(a.timeout)
		a.mu.Lock()
		a.live[inv.id] = inv
		a.mu.Unlock()
		a.describe(w.Header(), inv)
		w.Write(inv.event)
	case <-r.Context().Done():
	}
}

func (a *runtimeAPI) take(w http.ResponseWriter, r *http.Request) *invocation {
	a.mu.Lock()
	defer a.mu.Unlock()
	inv := a.live[r.PathValue("id")]
	delete(a.live, r.PathValue("id"))
	if inv == nil {
		http.Error(w, `{"errorType":"InvalidRequestID"}`, http.StatusBadRequest)
	}
	return inv
}

// response hands the body on while it arrives and answers when it was taken.
func (a *runtimeAPI) response(w http.ResponseWriter, r *http.Request) {
	inv := a.take(w, r)
	if inv == nil {
		return
	}
	done := make(chan int, 1)
	inv.reply <- &Reply{
		ContentType: r.Header.Get("Content-Type"), Body: r.Body,
		Trailer: func() http.Header { return r.Trailer },
		Done:    func(status int) { done <- status },
	}
	status := <-done
	if status == http.StatusAccepted {
		status = a.accepted
	}
	w.WriteHeader(status)
}

func (a *runtimeAPI) failure(w http.ResponseWriter, r *http.Request) {
	inv := a.take(w, r)
	if inv == nil {
		return
	}
	body, _ := io.ReadAll(r.Body)
	if body == nil {
		body = []byte{}
	}
	inv.reply <- &Reply{Failure: body, Done: func(int) {}}
	w.WriteHeader(a.accepted)
}

// call is a Caller. An invocation goes on when its client is gone, as on the clouds; ctx only ends the wait
// for a free instance.
func (a *runtimeAPI) call(ctx context.Context, event []byte) (*Reply, error) {
	return a.do(ctx, &invocation{event: event})
}

func (a *runtimeAPI) do(ctx context.Context, inv *invocation) (*Reply, error) {
	inv.id, inv.reply = newID(), make(chan *Reply, 1)
	select {
	case a.queue <- inv:
	case <-a.exited:
		return nil, errExited
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case reply := <-inv.reply:
		return reply, nil
	case <-a.exited:
		return nil, errExited
	case <-time.After(a.timeout):
		return nil, errTimedOut
	}
}

// newID has the form of Lambda's request ids.
func newID() string {
	var b [16]byte
	rand.Read(b[:])
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
