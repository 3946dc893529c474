package registry

import (
	"hash/crc32"
	"slices"
	"strconv"
	"strings"

	"keyless/shared/seal"
)

// firstAPIKey is the id of a generated API key of a consumer that lists none.
const firstAPIKey = "k1"

// NewAPIKey makes an API key: kg_, 256 random bits, _ and a checksum, so that a scanner of leaked secrets recognises one and need not
// ask us. The checksum is CRC-32 (IEEE) of all before it, in seven digits of base 36.
func NewAPIKey() string {
	body := "kg_" + seal.NewSecret()
	return body + "_" + apiKeyChecksum(body)
}

func apiKeyChecksum(body string) string {
	const digits = 7 // 36^7 > 2^32
	sum := strconv.FormatUint(uint64(crc32.ChecksumIEEE([]byte(body))), 36)
	return strings.Repeat("0", digits-len(sum)) + sum
}

// consumerKeys hashes and seals API keys. A consumer that lists none keeps those it had, or gets one.
func (s *sealer) consumerKeys(at spot, c, had *Consumer) []GeneratedSecret {
	if c.APIKey == nil {
		return nil
	}
	own := *c.APIKey
	c.APIKey = &own
	var before APIKeyCredential
	if had.APIKey != nil {
		before = *had.APIKey
	}
	if own.Keys == nil {
		own.Keys = before.Keys
	}
	if len(own.Keys) == 0 {
		own.Keys = []APIKey{{ID: firstAPIKey}}
	}
	own.Keys = slices.Clone(own.Keys)
	var generated []GeneratedSecret
	for i := range own.Keys {
		key := &own.Keys[i]
		var was APIKey
		if n := slices.IndexFunc(before.Keys, func(k APIKey) bool { return k.ID == key.ID }); n >= 0 {
			was = before.Keys[n]
		}
		if told := s.apiKey(at.key("api_key").key("keys").item(i).key("value"), c.Name, key, was); told != "" {
			generated = append(generated, s.told("consumer "+c.Name, "api_key."+key.ID, told))
		}
	}
	return generated
}

// apiKey gives one API key its stored form and returns it where it was generated.
func (s *sealer) apiKey(at spot, consumer string, key *APIKey, had APIKey) string {
	if hash, is := strings.CutPrefix(string(key.Value), hashPrefix); is {
		key.Value, key.Hash = "", hash
		return ""
	}
	generated := ""
	switch {
	case key.Value != "":
	case key.Hash != "":
		return ""
	case had.Hash != "":
		key.Value, key.Hash = had.Value, had.Hash
		return ""
	default:
		generated = NewAPIKey()
		key.Value = Secret(generated)
	}
	place := placeAPIKeyValue(consumer, key.ID)
	clear, ok := s.clear(at, place, key.Value)
	if !ok {
		return ""
	}
	key.Hash = seal.Hash(s.pepper, placeAPIKey, clear)
	key.Value = s.seal(at, place, key.Value, had.Value)
	return generated
}

// consumerHMAC seals the secrets of access keys; one that is absent is kept, or generated.
func (s *sealer) consumerHMAC(at spot, c, had *Consumer) []GeneratedSecret {
	if c.HMAC == nil {
		return nil
	}
	own := *c.HMAC
	c.HMAC = &own
	own.Keys = slices.Clone(own.Keys)
	var generated []GeneratedSecret
	for i := range own.Keys {
		key := &own.Keys[i]
		var was HMACKey
		if had.HMAC != nil {
			if n := slices.IndexFunc(had.HMAC.Keys, func(k HMACKey) bool { return k.AccessKey == key.AccessKey }); n >= 0 {
				was = had.HMAC.Keys[n]
			}
		}
		switch {
		case key.SecretKey == "" && was.SecretKey != "":
			key.SecretKey = was.SecretKey
			continue
		case key.SecretKey == "":
			key.SecretKey = Secret(seal.NewSecret())
			generated = append(generated, s.told("consumer "+c.Name, "hmac."+key.AccessKey, string(key.SecretKey)))
		}
		place := placeHMACSecret(c.Name, key.AccessKey)
		key.SecretKey = s.seal(at.key("hmac").key("keys").item(i).key("secret_key"), place, key.SecretKey, was.SecretKey)
	}
	return generated
}
