package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
)

// moved judges that an upstream keeps its secrets only where they go on to whom they were given for: who may write an upstream has not
// seen them, and must not have them sent to a place of his own.
func moved(object, stored any) Faults {
	now, is := object.(*Upstream)
	had, was := stored.(*Upstream)
	if !is || !was || had.BaseURL == "" {
		return nil
	}
	var faults Faults
	again := func(at spot, whose string) {
		faults = append(faults, Fault{string(at), "write the secret again: it was given for " + whose})
	}
	elsewhere := originOf(now.BaseURL) != originOf(had.BaseURL)
	for i, key := range now.APIKeys {
		switch _, kept := keptIndex(key); {
		case kept && elsewhere:
			again(spot("api_keys").item(i), originOf(had.BaseURL))
		case kept && now.keyHeader() != had.keyHeader():
			again(spot("api_keys").item(i), "the header "+had.keyHeader())
		}
	}
	if now.Auth == nil || had.Auth == nil {
		return faults
	}
	at, asked := spot("auth").key("oauth").key(oauthSecret), originOf(had.Auth.OAuth["token_url"].Reveal())
	switch _, kept := keptIndex(now.Auth.OAuth[oauthSecret]); {
	case kept && originOf(now.Auth.OAuth["token_url"].Reveal()) != asked:
		again(at, asked)
	case kept && elsewhere:
		again(at, originOf(had.BaseURL))
	}
	return faults
}

// originOf is where a URL leads: scheme, host and port. Of what is no URL it is the text.
func originOf(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return text
	}
	return lower(u.Scheme) + "://" + withPort(u.Scheme, u.Host)
}

// keyHeader is the header in which an upstream is sent its key.
func (u *Upstream) keyHeader() string {
	switch {
	case u.Auth != nil && u.Auth.Header != "":
		return lower(u.Auth.Header)
	case u.Protocol == Anthropic:
		return "x-api-key"
	}
	return "authorization"
}

// abandoned refuses an edit that moves an upstream to another origin while consumers have keys of their own for it, which they gave for
// the one that it has. Every consumer is read then.
func (e *Editor) abandoned(ctx context.Context, now *editing, object any) error {
	u, is := object.(*Upstream)
	had := now.have.snapshot.Upstreams[now.Name]
	if !is || had == nil || originOf(u.BaseURL) == originOf(had.BaseURL) {
		return nil
	}
	names, err := e.store.Names(ctx, KindConsumer)
	if err != nil {
		return fmt.Errorf("list the consumers: %w", err)
	}
	slices.Sort(names)
	var by []string
	for part := range slices.Chunk(names, entriesAtOnce) {
		entries, _, err := e.store.Entries(ctx, KindConsumer, part...)
		if err != nil {
			return fmt.Errorf("read the consumers: %w", err)
		}
		for _, name := range part {
			var c Consumer
			if text := entries[name].Value; text == "" { // removed meanwhile
				continue
			} else if err := json.Unmarshal([]byte(text), &c); err != nil {
				return fmt.Errorf("read consumer %s: %w", name, err)
			}
			if _, own := c.UpstreamKeys[now.Name]; own {
				by = append(by, EditConsumer+" "+name)
			}
		}
		if len(by) >= maxReferrers {
			break
		}
	}
	if len(by) > 0 {
		return &ReferencedError{By: by[:min(len(by), maxReferrers)]}
	}
	return nil
}
