package registry

import (
	"crypto/rand"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	"keyless/shared/oauth"
	"keyless/shared/seal"
)

// sealer turns the secrets of a Config into their stored forms. A stored form whose secret did not change is
// kept as it is, for sealing twice gives two texts.
type sealer struct {
	keys   *seal.Keys
	pepper []byte
	dry    bool
	faults Faults
}

func (s *sealer) fault(at spot, text string) {
	s.faults = append(s.faults, Fault{Path: string(at), Text: text})
}

// told is a generated secret as the Report shows it.
func (s *sealer) told(object, id, secret string) GeneratedSecret {
	if s.dry {
		secret = ""
	}
	return GeneratedSecret{Object: object, ID: id, Secret: Secret(secret)}
}

// clear returns the secret that a Config means, which may come sealed.
func (s *sealer) clear(at spot, place string, secret Secret) (string, bool) {
	if _, kept := keptIndex(secret); kept {
		s.fault(at, "is the mark of a secret that is kept, and not the secret; leave it out, or write the secret")
		return "", false
	}
	sealed, is := strings.CutPrefix(string(secret), sealedPrefix)
	if !is {
		return string(secret), true
	}
	clear, err := s.keys.Open(place, sealed)
	if err != nil {
		s.fault(at, "does not open: it was sealed under another master key or for another object; write it clear")
		return "", false
	}
	return string(clear), true
}

// seal returns the sealed form of a secret: the one it had, the one it came in, or a new one.
func (s *sealer) seal(at spot, place string, secret, had Secret) Secret {
	clear, ok := s.clear(at, place, secret)
	if !ok {
		return ""
	}
	if strings.HasPrefix(string(had), sealedPrefix) {
		if kept, err := open(s.keys, place, had); err == nil && string(kept) == clear {
			return had
		}
	}
	if strings.HasPrefix(string(secret), sealedPrefix) {
		return secret
	}
	sealed, err := s.keys.Seal(place, []byte(clear))
	if err != nil {
		s.fault(at, "cannot be sealed; write a shorter secret")
		return ""
	}
	return Secret(sealedPrefix + sealed)
}

// client fills a client's secrets: what is absent is kept, or generated where the client had none.
func (s *sealer) client(at spot, in *Instance, c, had *Client) []GeneratedSecret {
	if c.Secrets == nil {
		if had != nil && len(had.Secrets) > 0 {
			c.Secrets = had.Secrets
		} else if provesBySecret(c) {
			c.Secrets = []ClientSecret{{ID: firstSecret}}
		}
	}
	c.Secrets = slices.Clone(c.Secrets)
	var generated []GeneratedSecret
	for i := range c.Secrets {
		secret := &c.Secrets[i]
		place := PlaceClientSecret(in.ID, c.ID, secret.ID)
		value := at.key("secrets").item(i).key("value")
		told := s.clientSecret(value, place, in, secret, had.secret(secret.ID))
		if told != "" {
			generated = append(generated, s.told("client "+in.ID+"/"+c.ID, secret.ID, told))
		}
		if secret.Value == "" && secret.Hash != "" && slices.Contains(c.Authentication, oauth.ClientSecretJWT) {
			s.fault(value, "is kept as a hash only, and client_secret_jwt needs the secret itself; write it, "+
				"or give the secret another id to have one generated")
		}
	}
	return generated
}

// firstSecret is the id of a generated secret of a client that lists none.
const firstSecret = "s1"

// provesBySecret reports whether a client authenticates by a secret of its own.
func provesBySecret(c *Client) bool {
	return len(c.Authentication) == 0 || slices.Contains(c.Authentication, oauth.ClientSecretBasic) ||
		slices.Contains(c.Authentication, oauth.ClientSecretPost) ||
		slices.Contains(c.Authentication, oauth.ClientSecretJWT)
}

// secret finds a secret by its id; an empty one if there is none.
func (c *Client) secret(id string) ClientSecret {
	if c != nil {
		for _, s := range c.Secrets {
			if s.ID == id {
				return s
			}
		}
	}
	return ClientSecret{}
}

// clientSecret gives one secret its stored form and returns it where it was generated.
func (s *sealer) clientSecret(
	at spot, place string, in *Instance, secret *ClientSecret, had ClientSecret,
) string {
	hashed := in.SecretStorage == StorageHashed
	if hash, is := strings.CutPrefix(string(secret.Value), hashPrefix); is {
		secret.Value, secret.Hash = "", hash
		return ""
	}
	generated := ""
	switch {
	case secret.Value != "":
	case secret.Hash != "": // a stored form, of an instance that keeps hashes only
		return ""
	case had.Hash != "":
		secret.Value, secret.Hash = had.Value, had.Hash
		if hashed {
			secret.Value = ""
		}
		return ""
	default:
		generated = seal.NewSecret()
		secret.Value = Secret(generated)
	}
	clear, ok := s.clear(at, place, secret.Value)
	if !ok {
		return ""
	}
	secret.Hash = had.Hash
	if !seal.Matches(s.pepper, place, clear, had.Hash) {
		secret.Hash = seal.Hash(s.pepper, place, clear)
	}
	secret.Value = s.seal(at, place, secret.Value, had.Value)
	if hashed {
		secret.Value = ""
	}
	return generated
}

// upstream seals the provider's keys.
func (s *sealer) upstream(at spot, u, had *Upstream) {
	u.APIKeys = slices.Clone(u.APIKeys)
	for i, key := range u.APIKeys {
		var before Secret
		if had != nil && i < len(had.APIKeys) {
			before = had.APIKeys[i]
		}
		u.APIKeys[i] = s.seal(at.key("api_keys").item(i), placeUpstreamKey(u.Name, i), key, before)
	}
	if u.Auth == nil || u.Auth.OAuth[oauthSecret] == "" {
		return
	}
	auth := *u.Auth
	u.Auth, auth.OAuth = &auth, maps.Clone(auth.OAuth)
	var before Secret
	if had != nil && had.Auth != nil {
		before = had.Auth.OAuth[oauthSecret]
	}
	spot := at.key("auth").key("oauth").key(oauthSecret)
	auth.OAuth[oauthSecret] = s.seal(spot, placeUpstreamOAuth(u.Name), auth.OAuth[oauthSecret], before)
}

// oauthSecret is the one member of an upstream's oauth that is a secret.
const oauthSecret = "client_secret"

// consumer gives a consumer's credentials their stored forms, and generates what is absent and was never there.
func (s *sealer) consumer(at spot, c, had *Consumer) []GeneratedSecret {
	if had == nil {
		had = &Consumer{}
	}
	s.upstreamKeys(at.key("upstream_keys"), c, had)
	return slices.Concat(s.consumerJWT(at, c, had), s.consumerKeys(at, c, had), s.consumerHMAC(at, c, had))
}

// upstreamKeys seals a consumer's own provider keys.
func (s *sealer) upstreamKeys(at spot, c, had *Consumer) {
	c.UpstreamKeys = maps.Clone(c.UpstreamKeys)
	for upstream, key := range c.UpstreamKeys {
		c.UpstreamKeys[upstream] = s.seal(at.key(upstream), placeConsumerUpstreamKey(c.Name, upstream), key, had.UpstreamKeys[upstream])
	}
}

// consumerJWT seals a JWK Set that holds a shared secret, and fills the value that names the consumer.
func (s *sealer) consumerJWT(at spot, c, had *Consumer) []GeneratedSecret {
	if c.JWT == nil {
		return nil
	}
	jwt := *c.JWT
	c.JWT = &jwt
	var before JWTCredential
	if had.JWT != nil {
		before = *had.JWT
	}
	jwt.JWKS = s.keySet(at.key("jwt").key("jwks"), placeConsumerJWKS(c.Name), jwt.JWKS, before.JWKS)
	if jwt.Value != "" {
		return nil
	}
	if before.Value != "" && before.ClaimName() == jwt.ClaimName() {
		jwt.Value = before.Value
		return nil
	}
	jwt.Value = randomText(valueBytes)
	return []GeneratedSecret{s.told("consumer "+c.Name, "jwt.value", jwt.Value)}
}

// placeGlobalJWKS binds the JWK Set of global authentication to its place.
const placeGlobalJWKS = "global/jwks"

// keySet seals a JWK Set unless it is public.
func (s *sealer) keySet(at spot, place string, jwks, had Secret) Secret {
	if jwks == "" {
		return ""
	}
	clear, ok := s.clear(at, place, jwks)
	if !ok {
		return ""
	}
	keys, err := oauth.ParseJWKSet([]byte(clear), oauth.Pasted)
	if err != nil {
		s.fault(at, "is not a key set once opened; write it clear")
		return ""
	}
	if !keys[0].Symmetric() { // a set holds one kind only
		return jwks
	}
	return s.seal(at, place, jwks, had)
}

// valueBytes are those of a generated value: a name, not a secret, but no two may be equal.
const valueBytes = 16

func randomText(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // crypto/rand.Read never returns an error
	return hex.EncodeToString(b)
}

// newClientID makes a client_id of unreserved characters.
func newClientID() string { return "app_" + randomText(valueBytes) }
