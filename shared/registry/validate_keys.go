package registry

import "keyless/shared/seal"

// maxConsumerKeys bounds the keys of one consumer: a few overlap while they rotate.
const maxConsumerKeys = 16

func (v *validator) apiKey(at spot, consumer string, a *APIKeyCredential) {
	if s := a.Source; s != nil {
		if s.Header != "" {
			v.wrong(at.key("source").key("header"), judgeInboundHeader(s.Header))
		}
		if s.Query != "" {
			v.wrong(at.key("source").key("query"), judgeParameter(s.Query))
		}
	}
	place := a.Place()
	if !v.keyPlaces[place] && len(v.keyPlaces) == maxPlaces {
		v.fault(at.key("source"), "is the ninth place of an API key in use; all consumers together use at most 8")
	}
	v.keyPlaces[place] = true
	if len(a.Keys) > maxConsumerKeys {
		v.fault(at.key("keys"), "has more than %d keys; remove the oldest", maxConsumerKeys)
	}
	seen := map[string]bool{}
	for i, key := range a.Keys {
		one := at.key("keys").item(i)
		v.name(one.key("id"), key.ID, seen)
		v.wrong(one.key("value"), judgeSecret(key.Value))
		v.status(one.key("status"), key.Status)
		if key.Value != "" {
			v.owned(one.key("value"), consumer, seal.Digest("api_key", place.String(), string(key.Value)))
		}
	}
}

func (v *validator) hmac(at spot, consumer string, h *HMACCredential) {
	if h.Window < 0 {
		v.fault(at.key("window"), "is negative; write such as 15m")
	}
	if len(h.Keys) == 0 {
		v.fault(at.key("keys"), "is required; write at least {access_key: NAME}")
	}
	if len(h.Keys) > maxConsumerKeys {
		v.fault(at.key("keys"), "has more than %d keys; remove the oldest", maxConsumerKeys)
	}
	for i, key := range h.Keys {
		one := at.key("keys").item(i)
		v.required(one.key("access_key"), key.AccessKey, judgeWord)
		if key.SecretKey != "" {
			v.wrong(one.key("secret_key"), judgeSecret(key.SecretKey))
		}
		v.status(one.key("status"), key.Status)
		if key.AccessKey != "" {
			v.owned(one.key("access_key"), consumer, IndexHMAC(key.AccessKey))
		}
	}
}

// owned refuses one credential of two consumers, or twice of one: it could name only one of them.
func (v *validator) owned(at spot, consumer, digest string) {
	if other, twice := v.rules[digest]; twice {
		v.fault(at, "is also that of the consumer %q; write another", other)
		return
	}
	v.rules[digest] = consumer
}
