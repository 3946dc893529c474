package jwks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"keyless/shared/oauth"
)

// discoveryPath follows an issuer (OpenID Connect Discovery 1.0 §4, RFC 8414 §5).
const discoveryPath = "/.well-known/openid-configuration"

// IssuerKeys returns the keys of an issuer, found by discovery: {issuer}/.well-known/openid-configuration names
// jwks_uri, and Keys has the set there. The document must name the very issuer. A fragment behind the issuer names an
// edition, as for Keys. The error is ErrUnavailable or the context's.
//
// The document is fetched under the same bounds and guard as a set, kept as long as the issuer's max-age says (1 minute
// to 1 hour), shared through the second level, and serves for a day while the issuer fails. Issuers come from
// configuration only, so that no caller chooses what is fetched.
//
// Round trips: none while document and set are fresh enough and the set has the kid.
func (c *Cache) IssuerKeys(ctx context.Context, issuer, kid string) ([]oauth.Key, error) {
	name, edition, _ := strings.Cut(issuer, "#")
	d, err := c.document(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("discover keys of %s: %w", printable(name), err)
	}
	url := d.jwksURI
	if edition != "" {
		url += "#" + edition
	}
	return c.Keys(ctx, url, kid)
}

// document is an issuer's discovery document, reduced to what we follow. It is immutable.
type document struct {
	jwksURI string
	fetched time.Time
	maxAge  time.Duration
	tried   time.Time // of the last fetch that failed since
}

func (d *document) fresh(now time.Time) bool { return !passed(d.fetched, now, d.maxAge) }

// usable documents serve; until the issuer answers again they are asked for at most once in ten seconds.
func (d *document) usable(now time.Time) bool { return !passed(d.fetched, now, maxStale) }

// documents holds those of a process, in two generations. The zero value is ready.
type documents struct {
	mu         sync.Mutex // guards the generations
	young, old map[string]*document
}

func (h *documents) get(issuer string) *document {
	h.mu.Lock()
	defer h.mu.Unlock()
	if d := h.young[issuer]; d != nil {
		return d
	}
	return h.old[issuer]
}

func (h *documents) put(issuer string, d *document) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.young == nil || len(h.young) >= maxSources {
		h.young, h.old = map[string]*document{}, h.young
	}
	h.young[issuer] = d
}

// document finds an issuer's document: in the process, at the second level, at the issuer.
func (c *Cache) document(ctx context.Context, issuer string) (*document, error) {
	held, now := c.documents.get(issuer), c.time()
	if held != nil && (held.fresh(now) || held.usable(now) && !passed(held.tried, now, fetchEvery)) {
		return held, nil
	}
	landed := c.flight.DoChan("discovery "+issuer, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flightWithin)
		defer cancel()
		return c.discover(ctx, issuer, held), nil
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case done := <-landed:
		if d := done.Val.(*document); d != nil {
			return d, nil
		}
		return nil, ErrUnavailable
	}
}

// discover returns the newest document there is, nil where there is none.
func (c *Cache) discover(ctx context.Context, issuer string, held *document) *document {
	url := strings.TrimSuffix(issuer, "/") + discoveryPath
	if d := c.sharedDocument(ctx, issuer, url); d != nil && d.fresh(c.time()) {
		c.documents.put(issuer, d)
		return d
	}
	stored, err := c.fetch.get(ctx, url, false)
	stored.Fetched = c.time()
	var d *document
	if err == nil {
		d, err = newDocument(issuer, stored)
	}
	switch {
	case err == nil:
		c.documents.put(issuer, d)
		if c.shared != nil {
			c.note(ctx, "put", c.shared.Put(ctx, url, stored))
		}
		return d
	case held == nil || !held.usable(c.time()):
		held = c.sharedDocument(ctx, issuer, url)
	}
	c.log.LogAttrs(ctx, slog.LevelWarn, "discovery document not renewed",
		slog.String("url", printable(url)), slog.String("reason", err.Error()))
	if held == nil || !held.usable(c.time()) {
		return nil
	}
	again := *held
	again.tried = c.time()
	c.documents.put(issuer, &again)
	return &again
}

func (c *Cache) sharedDocument(ctx context.Context, issuer, url string) *document {
	if c.shared == nil {
		return nil
	}
	stored, there, err := c.shared.Get(ctx, url)
	c.note(ctx, "get", err)
	if err != nil || !there {
		return nil
	}
	d, err := newDocument(issuer, stored)
	c.note(ctx, "parse", err)
	if err != nil {
		return nil
	}
	return d
}

// newDocument reads a document. One that names another issuer is nobody's (OpenID Connect Discovery 1.0 §4.3: MUST).
func newDocument(issuer string, stored Stored) (*document, error) {
	members, err := oauth.Object(stored.Text)
	if err != nil {
		return nil, fmt.Errorf("read a discovery document: %w", err)
	}
	named, _ := oauth.String(members["issuer"])
	uri, _ := oauth.String(members["jwks_uri"])
	switch {
	case named != issuer:
		return nil, errors.New("read a discovery document: it is another issuer's")
	case uri == "" || strings.Contains(uri, "#"):
		return nil, errors.New("read a discovery document: no jwks_uri")
	}
	return &document{
		jwksURI: uri, fetched: stored.Fetched, maxAge: min(max(stored.MaxAge, minAge), maxAge),
	}, nil
}
