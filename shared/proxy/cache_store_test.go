package proxy_test

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"keyless/shared/proxy"
	"keyless/shared/registry"
)

// TestCacheEnds: by its ttl in the store, by the ttl that has become shorter, and where the API goes elsewhere.
func TestCacheEnds(t *testing.T) {
	t.Parallel()
	s, upstream := newShelf(t), numbered(t)
	w := open(t, upstream.URL, llm(nil, upstream.URL), s.caching(t))
	w.chat(t, asked)
	equal(t, "ttl", s.TTL(s.Keys()[0]), ttl)
	shorter := open(t, upstream.URL, llm(nil, upstream.URL), s.caching(t, func(a *registry.API) { a.Cache.TTL = registry.Duration(time.Minute) }))
	s.pass(time.Minute - time.Second)
	equal(t, "within the shorter", shorter.chat(t, asked).cache(), "hit")
	s.pass(time.Second)
	equal(t, "after it", shorter.chat(t, asked, "Cache-Control: max-age=1").cache(), "miss")
	elsewhere := open(t, upstream.URL, llm(func(a *registry.API) { a.Upstreams[0].Models = map[string]string{"*": "n"} }, upstream.URL), s.caching(t))
	equal(t, "another model behind the name", elsewhere.chat(t, asked).cache(), "miss")
	s.FastForward(ttl)
	equal(t, "kept", len(s.Keys()), 0)
	equal(t, "after the ttl", w.chat(t, asked).cache(), "miss")
}

// TestCacheIsSealed: the store tells nothing, and what was changed or moved in it is no answer.
func TestCacheIsSealed(t *testing.T) {
	t.Parallel()
	s, upstream := newShelf(t), numbered(t)
	w := open(t, upstream.URL, llm(nil, upstream.URL), s.caching(t))
	w.chat(t, asked)
	name := s.Keys()[0]
	first, _ := s.Get(name)
	equal(t, "in clear", strings.Contains(first, "good day") || strings.Contains(name, "llm"), false)
	equal(t, "name", strings.HasPrefix(name, "kg:{h:"), true)
	w.chat(t, strings.Replace(asked, "hello", "hallo", 1))
	other := s.Keys()[0]
	if other == name {
		other = s.Keys()[1]
	}
	moved, _ := s.Get(other)
	for what, value := range map[string]string{
		"a byte": first[:20] + string(first[20]^1) + first[21:], "cut": first[:len(first)-1], "short": "x", "empty": "",
		"moved": moved, "clear": `{"at":1,"header":{}}` + "\n{}",
	} {
		_ = s.Set(name, value)
		got := w.chat(t, asked)
		equal(t, what, got.cache()+" "+strconv.Itoa(got.StatusCode), "miss 200")
		equal(t, what+": mended", w.chat(t, asked).cache(), "hit")
	}
	s.pepper = "another registry's"
	stranger := open(t, upstream.URL, llm(nil, upstream.URL), s.caching(t))
	equal(t, "another registry", stranger.chat(t, asked).cache(), "miss")
}

// TestCacheIsAway: a store that fails, or is slow, is a miss and costs no call.
func TestCacheIsAway(t *testing.T) {
	t.Parallel()
	upstream := numbered(t)
	for name, answers := range map[string]proxy.Answers{"fails": failingShelf{}, "hangs": hangingShelf{}} {
		s := newShelf(t)
		s.Answers = answers
		w := open(t, upstream.URL, llm(nil, upstream.URL), s.caching(t))
		for range 2 {
			got := w.chat(t, asked)
			equal(t, name, got.cache()+" "+strconv.Itoa(got.StatusCode), "miss 200")
		}
		within(t, "ended", w.ended)
		within(t, "ended", w.ended)
		equal(t, name+": the line tells", strings.Contains(w.log.String(), "cache="), true)
	}
	w := open(t, upstream.URL, llm(nil, upstream.URL), newShelf(t).caching(t, func(a *registry.API) { a.Cache = nil }))
	equal(t, "an API without", w.chat(t, asked).cache(), "")
}

type failingShelf struct{}

func (failingShelf) Recall(context.Context, string) ([]byte, error) { return nil, net.ErrClosed }
func (failingShelf) Keep(context.Context, string, []byte, time.Duration) error {
	return errors.New("OOM command not allowed")
}

type hangingShelf struct{}

func (hangingShelf) Recall(ctx context.Context, _ string) ([]byte, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
func (hangingShelf) Keep(ctx context.Context, _ string, _ []byte, _ time.Duration) error {
	<-ctx.Done()
	return ctx.Err()
}
