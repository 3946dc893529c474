package command

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"keyless/shared/registry"
)

// consumerCreate makes a consumer with one or more ways to prove itself.
func consumerCreate(ctx context.Context, t terminal, args []string) error {
	flags, o := t.gatewayFlags()
	var c registry.Consumer
	var jwt registry.JWTCredential
	var apis, groups, audience list
	flags.StringVar(&c.DisplayName, "display-name", "", "a `name` for people")
	flags.StringVar(&c.Description, "description", "", "a `text` for people")
	flags.Var(&groups, "group", "a `group` that it belongs to; may stand several times")
	flags.Var(&apis, "authorize", "an `api` that it may call; may stand several times")
	apiKey := flags.Bool("api-key", false, "it has an API key, which is generated")
	signs := flags.Bool("hmac", false, "it signs by HMAC with a key, which is generated")
	instance := flags.String("instance", "", "it bears tokens of this `instance` of ours")
	flags.StringVar(&jwt.JWKSURL, "jwks-url", "", "it bears tokens that the keys at this `URL` verify")
	flags.StringVar(&jwt.Issuer, "issuer", "", "the tokens' `iss`")
	flags.Var(&audience, "audience", "one of the tokens' `aud`")
	flags.StringVar(&jwt.Claim, "claim", "", "the `claim` that names it; default uid")
	flags.StringVar(&jwt.Value, "value", "", "what stands in the `claim`; default generated")
	words, err := t.words(flags, args, "NAME")
	if err != nil {
		return err
	}
	k, _ := kindOf("consumer")
	if err := k.check(words[0]); err != nil {
		return err
	}
	c.Groups, jwt.Audience = groups, registry.Strings(audience)
	for _, api := range apis {
		c.Authorizations = append(c.Authorizations, registry.Authorization{API: api})
	}
	if *apiKey {
		c.APIKey = &registry.APIKeyCredential{}
	}
	if *signs {
		c.HMAC = &registry.HMACCredential{Keys: []registry.HMACKey{{AccessKey: accessKey()}}}
	}
	if *instance != "" {
		issuer, err := t.issuer(o, *instance)
		if err != nil {
			return err
		}
		jwt.Issuer, jwt.JWKSURL = issuer, issuer+"/jwks"
	}
	if jwt.JWKSURL != "" {
		c.JWT = &jwt
	}
	if c.JWT == nil && c.APIKey == nil && c.HMAC == nil {
		return usage{errors.New("say how it proves itself: --api-key, --hmac, --instance or --jwks-url")}
	}
	return t.createOne(ctx, o, k, words[0], c)
}

// accessKeyBytes name an HMAC key, which is unique everywhere.
const accessKeyBytes = 12

func accessKey() string {
	b := make([]byte, accessKeyBytes)
	_, _ = rand.Read(b) // crypto/rand.Read never returns an error
	return "ak_" + hex.EncodeToString(b)
}

// issuer is that of an instance of the gateway, as the gateway's public URL makes it.
func (t terminal) issuer(o *options, instance string) (string, error) {
	g, err := t.gateway(o)
	if err != nil {
		return "", err
	}
	defer g.close()
	public, _ := g.lookup("KEYLESS_PUBLIC_URL")
	if public == "" {
		return "", usage{errors.New("--instance needs the gateway's public URL: set KEYLESS_PUBLIC_URL")}
	}
	return public + "/" + url.PathEscape(instance) + "/oauth2", nil
}

// consumerJWTKey has the key made with which the consumer signs its own tokens, and shows the private half this once.
func consumerJWTKey(ctx context.Context, t terminal, args []string) error {
	flags, o := t.gatewayFlags()
	form := flags.String("kind", "pair", "pair or symmetric")
	algorithm := flags.String("algorithm", "", "a JWS `algorithm`; default ES256, symmetric HS256")
	words, err := t.words(flags, args, "NAME")
	if err != nil {
		return err
	}
	g, err := t.gateway(o)
	if err != nil {
		return err
	}
	defer g.close()
	k, _ := kindOf("consumer")
	var text []byte
	body := map[string]string{"kind": *form}
	if *algorithm != "" {
		body["algorithm"] = *algorithm
	}
	if _, err := g.do(ctx, ask{method: http.MethodPost, path: k.path(words[0]) + "/jwt/key", body: body}, &text); err != nil {
		return named(err, k.label(words[0]))
	}
	if o.asJSON {
		_, err = t.stdout.Write(text)
		return err
	}
	var made struct {
		KeyID     string            `json:"kid"`
		Algorithm string            `json:"algorithm"`
		JWK       map[string]string `json:"jwk"`
		PEM       string            `json:"pem"`
		Claim     string            `json:"claim"`
		Value     string            `json:"value"`
	}
	if err := json.Unmarshal(text, &made); err != nil {
		return fmt.Errorf("read the admin API's answer: %w", err)
	}
	t.say("# %s signs with %s, kid %s; its tokens say %s: %s", plain(words[0]), plain(made.Algorithm), plain(made.KeyID),
		plain(made.Claim), plain(made.Value))
	t.say("# the key is shown this once")
	if made.PEM != "" {
		fmt.Fprint(t.stdout, made.PEM)
		return nil
	}
	return t.json(made.JWK)
}

// authorize lets a consumer call an API.
func authorize(ctx context.Context, t terminal, args []string) error {
	flags, o := t.gatewayFlags()
	var models, tools list
	flags.Var(&models, "model", "only this `model`; may stand several times")
	flags.Var(&tools, "tool", "only this `tool` of an MCP server; may stand several times")
	expires := flags.String("expires", "", "until when, a `time` such as 2027-06-30T00:00:00Z, or a duration such as 90d")
	words, err := t.words(flags, args, "NAME", "API")
	if err != nil {
		return err
	}
	body := map[string]any{}
	if len(models) > 0 {
		body["models"] = models
	}
	if len(tools) > 0 {
		body["tools"] = tools
	}
	if *expires != "" {
		at, err := moment(*expires, time.Now())
		if err != nil {
			return usage{err}
		}
		body["expires_at"] = at.Format(time.RFC3339)
	}
	return t.change(ctx, o, authorizationLabel(words), "authorized", ask{
		method: http.MethodPut, path: authorizationPath(words), body: body,
	})
}

// unauthorize takes the right to call an API away, from the next request on.
func unauthorize(ctx context.Context, t terminal, args []string) error {
	flags, o := t.gatewayFlags()
	words, err := t.words(flags, args, "NAME", "API")
	if err != nil {
		return err
	}
	return t.change(ctx, o, authorizationLabel(words), "no longer authorized", ask{
		method: http.MethodDelete, path: authorizationPath(words),
	})
}

func authorizationPath(words []string) string {
	k, _ := kindOf("consumer")
	return k.path(words[0]) + "/authorizations/" + url.PathEscape(words[1])
}

func authorizationLabel(words []string) string { return "consumer " + words[0] + " on api " + words[1] }
