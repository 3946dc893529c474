package registry

import (
	"strings"

	"keyless/shared/seal"
)

// MaxAPIKeyBytes bounds an API key: ours have some fifty characters, a brought one a few hundred at most. A longer one is refused unread.
const MaxAPIKeyBytes = 512

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
	if a.Keys != nil && len(a.Keys) == 0 {
		v.fault(at.key("keys"), "is an empty list, which reads as absent; leave it out, or write its items")
	}
	seen := map[string]bool{}
	for i, key := range a.Keys {
		one := at.key("keys").item(i)
		v.name(one.key("id"), key.ID, seen)
		v.wrong(one.key("value"), judgeConsumerKey(key.Value))
		v.status(one.key("status"), key.Status)
		switch value := one.key("value"); {
		case key.Hash != "": // as stored, whatever form it came in
			v.owned(value, consumer, IndexAPIKey(place, key.Hash))
		case key.Value != "":
			v.owned(value, consumer, seal.Digest("api_key in a file", place.String(), string(key.Value)))
		}
	}
}

// judgeConsumerKey judges an API key: what a caller could not send as a whole is none.
func judgeConsumerKey(s Secret) string {
	text := string(s)
	if judgement := judgeSecret(s); judgement != "" || strings.HasPrefix(text, sealedPrefix) {
		return judgement
	}
	switch {
	case len(text) > MaxAPIKeyBytes:
		return "is an API key of over 512 characters; write a shorter one"
	case text != strings.TrimSpace(text):
		return "has a space at its ends, which no header keeps; write the bare key"
	}
	return ""
}

// judgeHMACSecret judges the secret of an access key, which a verifier needs clear.
func judgeHMACSecret(s Secret) string {
	if strings.HasPrefix(string(s), hashPrefix) {
		return "is a hash, with which no signature can be verified; write the secret itself, or its sealed form"
	}
	return judgeSecret(s)
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
			v.wrong(one.key("secret_key"), judgeHMACSecret(key.SecretKey))
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
