package auth

import (
	"context"

	"keyless/shared/registry"
)

// maxAPIKeyBytes bounds a presented key; no longer one can have been brought.
const maxAPIKeyBytes = registry.MaxAPIKeyBytes

// judgeAPIKey decides on a shared key. The key is looked up by a keyed hash and compared in constant time; what was sent never enters
// a Redis key or a log.
func (g *Gate) judgeAPIKey(ctx context.Context, v registry.View, one credential, d *Decision) error {
	d.Sent = true
	if len(one.value) > maxAPIKeyBytes {
		d.step("API key", "longer than any")
		d.Certain = !looksLikeJWT(one.value) // else it may be a token, which the API takes by now
		d.refuse(APIKeyInvalid)
		return nil
	}
	hash, err := v.HashAPIKey(one.value)
	if err != nil {
		return err
	}
	consumers, err := v.Consumers(ctx, registry.IndexAPIKey(one.place, hash))
	if err != nil {
		return err
	}
	for _, c := range consumers {
		if c.APIKey == nil || c.APIKey.Place() != one.place || !c.APIKey.Holds(hash, g.now()) {
			continue
		}
		d.step("consumer", "API key of "+c.Name)
		g.authorizeKey(v, c, d)
		return nil
	}
	d.step("consumer", "nobody enabled has this API key, enabled and not expired, at this place")
	d.refuse(APIKeyInvalid)
	return nil
}

// authorizeKey ends a decision on a known key. On an API that nobody is authorized on, a key looks invalid, as in the requirement
// document; the trace says why.
func (g *Gate) authorizeKey(v registry.View, c *registry.Consumer, d *Decision) {
	d.Consumer = c
	switch {
	case c.Authorized(d.API.Name, g.now()) != nil:
		d.allow(c, g.now())
	case !v.Authorized[d.API.Name]:
		d.step("authorization", "nobody at all is authorized on API "+d.API.Name)
		d.refuse(APIKeyInvalid)
	default:
		d.step("authorization", "consumer "+c.Name+" has none on API "+d.API.Name)
		d.refuse(ConsumerUnauthorized)
	}
}
