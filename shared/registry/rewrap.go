package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"keyless/shared/seal"
)

// Resealer is what a Store must do more for Rewrap: replace a text by one that means the same, where it is
// still what was read. Neither revision nor version moves, so that nobody loads anything anew. Each reports
// whether it did. NewRedis and NewMemory do it.
type Resealer interface {
	Store
	// ResealField replaces a field of the Snapshot. One round trip.
	ResealField(ctx context.Context, field, before, after string) (bool, error)
	// ResealEntry replaces an object's entry, after its copies of the same version in the indexes: an entry that
	// was replaced has no old copy left. One round trip, and one for each index.
	ResealEntry(
		ctx context.Context, kind Kind, name string, before Entry, after string, indexes []string,
	) (bool, error)
}

// Rewrapped says what became of the sealed secrets of a registry.
type Rewrapped struct {
	Sealed int      // secrets that were sealed again
	Failed []string // places of those that do not open: of a master key that is not configured, or changed
	Missed int      // objects that somebody changed meanwhile: they are read again by the next run
}

// Rewrap seals again under the newest master key every secret that is sealed under an older one: the pepper,
// upstream keys, key sets, client secrets, API keys and HMAC secrets, each for its own place. Hashes do not
// change: the pepper in clear stays what it is. It may run while the registry is used and while it is being
// changed, and may be cut and run again; a run that finds nothing old writes nothing. Missed is 0 only where
// this run has seen everything. Round trips: those of reading everything, one for each field or object, and
// one for each index of a consumer.
func Rewrap(ctx context.Context, store Store, keys *seal.Keys) (Rewrapped, error) {
	resealer, can := store.(Resealer)
	if !can || keys == nil {
		return Rewrapped{}, errors.New("rewrap: no master key, or a store that cannot")
	}
	w := &rewrapper{store: resealer, keys: keys}
	if err := store.Complete(ctx); err != nil { // what is pending is sealed under the older key
		return w.Rewrapped, err
	}
	if err := w.fields(ctx); err != nil {
		return w.Rewrapped, err
	}
	if err := rewrapAll(ctx, w, KindClient, clientSealed, nil); err != nil {
		return w.Rewrapped, err
	}
	err := rewrapAll(ctx, w, KindConsumer, consumerSealed, indexes)
	return w.Rewrapped, err
}

type rewrapper struct {
	Rewrapped
	store Resealer
	keys  *seal.Keys
}

// sealedAt is a stored secret and the place to which it is bound.
type sealedAt struct {
	place  string
	secret Secret
}

func (w *rewrapper) fields(ctx context.Context) error {
	fields, err := w.store.Fields(ctx)
	if err != nil {
		return fmt.Errorf("read the registry: %w", err)
	}
	snapshot, err := newSnapshot(fields, nil)
	if err != nil {
		return err
	}
	held := map[string][]sealedAt{fieldPepper: {{placePepper, Secret(fields[fieldPepper])}}}
	for name, u := range snapshot.Upstreams {
		for i, key := range u.APIKeys {
			field := fieldUpstream + name
			held[field] = append(held[field], sealedAt{placeUpstreamKey(name, i), key})
		}
		if u.Auth != nil {
			field := fieldUpstream + name
			held[field] = append(held[field], sealedAt{placeUpstreamOAuth(name), u.Auth.OAuth[oauthSecret]})
		}
	}
	if snapshot.Global != nil {
		held[fieldGlobal] = []sealedAt{{placeGlobalJWKS, snapshot.Global.JWKS}}
	}
	for _, field := range slices.Sorted(maps.Keys(held)) {
		after, count, err := w.again(fields[field], held[field])
		if err != nil || count == 0 {
			if err != nil {
				return err
			}
			continue
		}
		done, err := w.store.ResealField(ctx, field, fields[field], after)
		if err != nil {
			return err
		}
		w.count(done, count)
	}
	return nil
}

// rewrapAll does all objects of a kind. Secrets are replaced in the text of an entry, so that whatever else
// stands there stays as it is.
func rewrapAll[T any](
	ctx context.Context, w *rewrapper, kind Kind, sealed func(*T) []sealedAt, indexed func(*T) []string,
) error {
	names, err := w.store.Names(ctx, kind)
	if err != nil {
		return fmt.Errorf("list every %s: %w", kind, err)
	}
	for part := range slices.Chunk(names, entriesAtOnce) {
		entries, _, err := w.store.Entries(ctx, kind, part...)
		if err != nil {
			return fmt.Errorf("read every %s: %w", kind, err)
		}
		for _, name := range slices.Sorted(maps.Keys(entries)) {
			entry, object := entries[name], new(T)
			if err := json.Unmarshal([]byte(entry.Value), object); err != nil {
				return fmt.Errorf("read %s %s: %w", kind, name, err)
			}
			after, count, err := w.again(entry.Value, sealed(object))
			if err != nil {
				return err
			}
			if count == 0 {
				continue
			}
			var copies []string
			if indexed != nil {
				copies = indexed(object)
			}
			done, err := w.store.ResealEntry(ctx, kind, name, entry, after, copies)
			if err != nil {
				return err
			}
			w.count(done, count)
		}
	}
	return nil
}

func (w *rewrapper) count(done bool, secrets int) {
	if done {
		w.Sealed += secrets
	} else {
		w.Missed++
	}
}

// again seals anew what of a text's secrets is sealed under an older master key, and counts them. The sealed
// form has no character that JSON escapes, so it is found as it stands.
func (w *rewrapper) again(text string, secrets []sealedAt) (string, int, error) {
	count := 0
	for _, s := range secrets {
		sealed, is := strings.CutPrefix(string(s.secret), sealedPrefix)
		if !is || !w.keys.Stale(sealed) {
			continue
		}
		clear, err := w.keys.Open(s.place, sealed)
		if err != nil {
			w.Failed = append(w.Failed, s.place)
			continue
		}
		anew, err := w.keys.Seal(s.place, clear)
		if err != nil {
			return "", 0, fmt.Errorf("seal %s: %w", s.place, err)
		}
		text = strings.ReplaceAll(text, sealed, anew)
		count++
	}
	return text, count, nil
}

func clientSealed(c *Client) []sealedAt {
	var list []sealedAt
	for _, s := range c.Secrets {
		list = append(list, sealedAt{PlaceClientSecret(c.Instance, c.ID, s.ID), s.Value})
	}
	return list
}

func consumerSealed(c *Consumer) []sealedAt {
	var list []sealedAt
	for upstream, key := range c.UpstreamKeys {
		list = append(list, sealedAt{placeConsumerUpstreamKey(c.Name, upstream), key})
	}
	if c.JWT != nil {
		list = append(list, sealedAt{placeConsumerJWKS(c.Name), c.JWT.JWKS})
	}
	if c.APIKey != nil {
		for _, key := range c.APIKey.Keys {
			list = append(list, sealedAt{placeAPIKeyValue(c.Name, key.ID), key.Value})
		}
	}
	if c.HMAC != nil {
		for _, key := range c.HMAC.Keys {
			list = append(list, sealedAt{placeHMACSecret(c.Name, key.AccessKey), key.SecretKey})
		}
	}
	return list
}
