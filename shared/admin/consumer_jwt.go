package admin

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"

	"keyless/shared/registry"
)

// newJWTKey asks for a key with which a consumer signs its own tokens.
type newJWTKey struct {
	Kind      string `json:"kind"`                // symmetric or pair
	Algorithm string `json:"algorithm,omitempty"` // default HS256, ES256
}

// shownJWTKey answers with what the consumer keeps to himself; it is shown this once.
type shownJWTKey struct {
	ID        string            `json:"kid"`
	Algorithm string            `json:"algorithm"`
	JWK       map[string]string `json:"jwk"`             // private, or the shared secret
	PEM       registry.Secret   `json:"pem,omitempty"`   // PKCS #8, of a pair
	Claim     string            `json:"claim"`           // which of the token's claims names the consumer,
	Value     string            `json:"value,omitempty"` // and what stands in it
	Version   string            `json:"version"`         // of the consumer
}

// secretBytes are those of a shared key: as many as the hash has (RFC 7518 §3.2).
var secretBytes = map[string]int{"HS256": 32, "HS384": 48, "HS512": 64}

// kidBytes name a key in its set.
const kidBytes = 8

// rsaBits is the least that RFC 7518 §3.3 allows, and what every verifier takes.
const rsaBits = 2048

// generateJWTKey makes a key and sets it as the consumer's only one: a shared secret, or the public half of a pair. With If-None-Match: *
// it makes the consumer too, for none is without a credential.
func generateJWTKey(a *Admin, c *call) (reply, error) {
	var asked newJWTKey
	if err := c.into(&asked, maxBody); err != nil {
		return reply{}, err
	}
	cond, err := c.condition()
	if err != nil {
		return reply{}, err
	}
	shown, public, err := asked.make()
	if err != nil {
		return reply{}, err
	}
	set, err := json.Marshal(map[string]any{"keys": []any{public}})
	if err != nil {
		return reply{}, errKey
	}
	cond.there = !cond.absent
	done, err := a.change(c, target{registry.EditConsumer, c.vars["name"]}, cond, func(now json.RawMessage) (json.RawMessage, error) {
		now, err := put(now, []string{"jwt", "jwks_url"}, func() (json.RawMessage, error) { return nil, nil })
		if err != nil {
			return nil, err
		}
		return put(now, []string{"jwt", "jwks"}, func() (json.RawMessage, error) { return set, nil })
	})
	if err != nil {
		return reply{}, err
	}
	var consumer registry.Consumer
	if err := unmarshal(done.Object, &consumer); err != nil {
		return reply{}, err
	}
	shown.Claim, shown.Value, shown.Version = consumer.JWT.ClaimName(), consumer.JWT.Value, done.Version
	return reply{status: http.StatusCreated, body: shown, version: done.Version}, nil
}

// errKey is a failure of the library's, which never quotes a key.
var errKey = errors.New("make a consumer's key: it cannot be written")

// make draws a key: as it is shown, and as it is stored.
func (asked newJWTKey) make() (shownJWTKey, map[string]string, error) {
	shown := shownJWTKey{ID: randomName("", kidBytes), Algorithm: asked.Algorithm}
	switch asked.Kind {
	case "symmetric":
		if shown.Algorithm == "" {
			shown.Algorithm = "HS256"
		}
		size := secretBytes[shown.Algorithm]
		if size == 0 {
			return shown, nil, fault("algorithm", "is not one of a shared secret; write HS256, HS384 or HS512")
		}
		b := make([]byte, size)
		_, _ = rand.Read(b) // crypto/rand.Read never returns an error
		shown.JWK = shown.describe(map[string]string{"kty": "oct", "k": encode(b)})
		return shown, shown.JWK, nil
	case "pair":
		if shown.Algorithm == "" {
			shown.Algorithm = "ES256"
		}
		return shown.pair()
	}
	return shown, nil, fault("kind", "is required; write symmetric or pair")
}

func fault(path, text string) registry.Faults { return registry.Faults{{Path: path, Text: text}} }

func (k shownJWTKey) describe(jwk map[string]string) map[string]string {
	jwk["kid"], jwk["alg"], jwk["use"] = k.ID, k.Algorithm, "sig"
	return jwk
}

func (k shownJWTKey) pair() (shownJWTKey, map[string]string, error) {
	private, public, err := drawn(k.Algorithm)
	if err != nil || private == nil {
		return k, nil, orFault(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private.key)
	if err != nil {
		return k, nil, errKey
	}
	k.PEM = registry.Secret(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	k.JWK = map[string]string{}
	for name, value := range public {
		k.JWK[name] = value
	}
	for name, value := range private.members {
		k.JWK[name] = value
	}
	k.describe(k.JWK)
	return k, k.describe(public), nil
}

func orFault(err error) error {
	if err != nil {
		return fmt.Errorf("make a consumer's key: %w", err)
	}
	return fault("algorithm", "is not one of a pair; write ES256, ES384, ES512, RS256, RS384, RS512, PS256, PS384, PS512 or EdDSA")
}

// privateHalf is a private key and its members in a JWK.
type privateHalf struct {
	key     crypto.PrivateKey
	members map[string]string
}

var curves = map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()}

// drawn draws a pair that fits the algorithm (RFC 7518 §6, RFC 8037 §2); none for one that is no algorithm of a pair.
func drawn(algorithm string) (*privateHalf, map[string]string, error) {
	switch algorithm {
	case "ES256", "ES384", "ES512":
		return drawnEC(curves[algorithm])
	case "EdDSA":
		public, private, err := ed25519.GenerateKey(rand.Reader)
		return &privateHalf{private, map[string]string{"d": encode(private.Seed())}},
			map[string]string{"kty": "OKP", "crv": "Ed25519", "x": encode(public)}, err
	case "RS256", "RS384", "RS512", "PS256", "PS384", "PS512":
		return drawnRSA()
	}
	return nil, nil, nil
}

func drawnEC(curve elliptic.Curve) (*privateHalf, map[string]string, error) {
	private, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	d, errD := private.Bytes()
	point, errPoint := private.PublicKey.Bytes() // 4, x, y
	if err := errors.Join(errD, errPoint); err != nil {
		return nil, nil, errKey
	}
	half := len(point) / 2
	return &privateHalf{private, map[string]string{"d": encode(d)}}, map[string]string{
		"kty": "EC", "crv": curve.Params().Name, "x": encode(point[1 : 1+half]), "y": encode(point[1+half:]),
	}, nil
}

func drawnRSA() (*privateHalf, map[string]string, error) {
	private, err := rsa.GenerateKey(rand.Reader, rsaBits)
	if err != nil {
		return nil, nil, err
	}
	number := func(n *big.Int) string { return encode(n.Bytes()) }
	p := private.Precomputed
	return &privateHalf{private, map[string]string{
			"d": number(private.D), "p": number(private.Primes[0]), "q": number(private.Primes[1]),
			"dp": number(p.Dp), "dq": number(p.Dq), "qi": number(p.Qinv),
		}}, map[string]string{
			"kty": "RSA", "n": number(private.N), "e": number(big.NewInt(int64(private.E))),
		}, nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
