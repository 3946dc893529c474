package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// Caller is who calls the admin API, proven.
type Caller struct {
	Who      string   `json:"who"`                // bootstrap, or client <instance>/<id>
	Rights   []string `json:"rights"`             // scopes of registry.AdminServer
	Instance string   `json:"instance,omitempty"` // whose token it is: identity.* reaches no other; "": all
}

// whoBootstrap is the bearer of KEYLESS_ADMIN_TOKEN.
const whoBootstrap = "bootstrap"

// may reports whether the caller has a right on an instance, "" being what belongs to none or to all. Whoever may write may read, and
// the admin's half holds both others.
func (c Caller) may(right, instance string) bool {
	half, act, _ := strings.Cut(right, ".")
	return slices.ContainsFunc(c.Rights, func(has string) bool {
		hasHalf, hasAct, _ := strings.Cut(has, ".")
		switch {
		case act == "write" && hasAct != "write":
			return false
		case hasHalf == "admin":
			return true
		case hasHalf == "identity":
			return half == hasHalf && (c.Instance == "" || instance == c.Instance)
		}
		return half == hasHalf
	})
}

// permit refuses a caller who lacks a right; "" asks for none. Where no instance is named, the right on his own one suffices: the route
// sees to the rest. An instance that the caller's identity rights do not reach does not exist for him.
func (c Caller) permit(right, instance string) error {
	switch {
	case right == "" || c.may(right, instance) || instance == "" && c.may(right, c.Instance):
		return nil
	case c.may(right, c.Instance):
		return registry.ErrNoObject
	}
	return forbidden("It needs the right " + right)
}

// caller proves who calls: the bearer of the bootstrap token, or of an access token of one of our instances. The error is a refusal, or
// the store's.
func (a *Admin) caller(r *http.Request) (Caller, error) {
	if c, proven := r.Context().Value(inside{}).(Caller); proven {
		return c, nil
	}
	bearer := bearerOf(r)
	if a.bootstrap(bearer) {
		return Caller{Who: whoBootstrap, Rights: scopesOf(registry.AdminScopes)}, nil
	}
	if strings.Count(bearer, ".") == 2 {
		caller, why, err := a.tokenCaller(r, bearer)
		if err != nil || why == "" {
			return caller, err
		}
		a.o.Log.InfoContext(r.Context(), "admin token refused", "reason", why)
	}
	if a.o.Token == "" {
		there, err := a.anybody(r.Context())
		switch {
		case err != nil:
			return Caller{}, err
		case !there:
			return Caller{}, refuse(http.StatusNotFound, "admin_off",
				"There is no admin API here: KEYLESS_ADMIN_TOKEN is not set, and no client has a permission on "+registry.AdminServer)
		}
	}
	return Caller{}, refuse(http.StatusUnauthorized, "unauthorized",
		"The admin API asks for a Bearer: the admin token, or an access token for "+registry.AdminServer)
}

// bearerOf is the one credential of a request; "" where there is none, or more than one.
func bearerOf(r *http.Request) string {
	sent := r.Header.Values("Authorization")
	if len(sent) != 1 {
		return ""
	}
	token, _ := strings.CutPrefix(sent[0], "Bearer ")
	if token == sent[0] {
		return ""
	}
	return token
}

// bootstrap compares digests, so that neither content nor length shows in the time taken.
func (a *Admin) bootstrap(bearer string) bool {
	got, want := sha256.Sum256([]byte(bearer)), sha256.Sum256([]byte(a.o.Token.Reveal()))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1 && a.o.Token != ""
}

// configured remembers for a revision whether some client may ask for a token of the admin API.
type configured struct {
	mu       sync.Mutex // guards what follows
	revision string
	there    bool
}

// pageOfClients bounds the clients that are read at once.
const pageOfClients = 200

// anybody reports whether any client has a permission on the admin API. The clients are read once for each revision.
func (a *Admin) anybody(ctx context.Context) (bool, error) {
	snapshot, err := a.reader.Current(ctx)
	if errors.Is(err, registry.ErrEmpty) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	a.known.mu.Lock()
	revision, there := a.known.revision, a.known.there
	a.known.mu.Unlock()
	if revision == snapshot.Revision {
		return there, nil
	}
	if there, err = a.someClient(ctx, func(c *registry.Client) bool { return len(c.AdminScopes()) > 0 }); err != nil {
		return false, err
	}
	a.known.mu.Lock()
	a.known.revision, a.known.there = snapshot.Revision, there
	a.known.mu.Unlock()
	return there, nil
}

// someClient reports whether one of all clients fits.
func (a *Admin) someClient(ctx context.Context, fits func(*registry.Client) bool) (bool, error) {
	for after := ""; ; {
		page, next, err := a.editor.List(ctx, registry.EditClient, registry.ListOptions{After: after, Limit: pageOfClients})
		if err != nil {
			return false, fmt.Errorf("read the clients: %w", err)
		}
		for _, object := range page {
			client := &registry.Client{}
			if err := unmarshal(object.Value, client); err != nil {
				return false, err
			}
			if fits(client) {
				return true, nil
			}
		}
		if after = next; after == "" {
			return false, nil
		}
	}
}

func scopesOf(list []registry.Scope) []string {
	values := make([]string, len(list))
	for i, s := range list {
		values[i] = s.Value
	}
	return values
}

// guard keeps somebody from giving, or taking over, rights on the admin API that he does not have: the client before and after a change
// may hold no others. Either may be nil.
func (c Caller) guard(instance string, clients ...*registry.Client) error {
	for _, client := range clients {
		if client == nil {
			continue
		}
		for _, scope := range client.AdminScopes() {
			if !c.may(scope, instance) {
				return forbidden("The client has, or would get, " + scope + " on " + registry.AdminServer +
					", which only who has it himself may give or touch")
			}
		}
	}
	return nil
}

// challenge is for an answer 401.
func challenge(r *http.Request) string {
	if bearerOf(r) == "" {
		return realm
	}
	return oauth.Challenge("Bearer", "realm", "admin", "error", "invalid_token")
}
