package auth

import (
	"context"
	"net/http"
	"slices"

	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// Lead is where a credential of a request leads in the registry. It is for explaining to an operator, who may know more than the
// caller: that a consumer is there but disabled, or takes its credential elsewhere. It holds digests and names, never the credential.
type Lead struct {
	Method  string
	Place   registry.Place
	Indexes []string // where the consumers stand that it may lead to; of API keys those of every place in use
	Hash    string   // of an API key, as stored

	token *oauth.Token
}

// Leads returns what Decide finds at the places of an API, in its order. A token that the strict door refuses, a key longer than any
// and a signature without a key lead nowhere: they have no Indexes. Pure, but for the hash of an API key no cost.
func Leads(v registry.View, r *http.Request, api *registry.API) ([]Lead, error) {
	if api.Open() {
		return nil, nil
	}
	var leads []Lead
	for _, one := range find(r, v.Snapshot, api) {
		lead := Lead{Method: one.method, Place: one.place}
		switch one.method {
		case registry.MethodAPIKey:
			if err := lead.ofKey(v, one.value); err != nil {
				return nil, err
			}
		case registry.MethodHMAC:
			if sent, _ := parseSigned(r); sent.accessKey != "" {
				lead.Indexes = []string{registry.IndexHMAC(sent.accessKey)}
			}
		default:
			lead.ofToken(v, one.value)
		}
		leads = append(leads, lead)
	}
	return leads, nil
}

func (l *Lead) ofKey(v registry.View, value string) error {
	if len(value) > maxAPIKeyBytes {
		return nil
	}
	hash, err := v.HashAPIKey(value)
	if err != nil {
		return err
	}
	l.Hash = hash
	for _, place := range v.KeyPlaces {
		l.Indexes = append(l.Indexes, registry.IndexAPIKey(place, hash))
	}
	return nil
}

func (l *Lead) ofToken(v registry.View, compact string) {
	token, err := oauth.Parse(compact)
	if err != nil {
		return
	}
	l.token = token
	for _, claim := range v.Claims {
		for _, value := range token.Claims.Values(claim) {
			if len(l.Indexes) < maxIndexes {
				l.Indexes = append(l.Indexes, registry.IndexJWT(claim, value))
			}
		}
	}
}

// KeyFact says how the keys of a consumer stand to the token of a lead whose signature none of them verifies; "" where there is no
// token. The consumer is one of View.Consumers. It costs what Decide costs: at most one HTTP request.
func (g *Gate) KeyFact(ctx context.Context, v registry.View, l Lead, c *registry.Consumer) string {
	if l.token == nil || c.JWT == nil {
		return ""
	}
	keys, err := g.keysOf(ctx, v, c.JWT, l.token.Header.KeyID)
	if err != nil {
		return "the key set cannot be had"
	}
	kid := l.token.Header.KeyID
	named := slices.ContainsFunc(keys, func(k oauth.Key) bool { return kid == "" || k.ID == "" || k.ID == kid })
	switch {
	case len(keys) == 0:
		return "the set has no keys"
	case !named:
		return "no key of the set has the token's kid"
	case len(fitting(keys, l.token)) == 0:
		return "no key of the set allows the token's algorithm"
	}
	return "a key fits the token's kid and algorithm, and did not make this signature"
}

// Places returns where the tokens and API keys that an API takes may stand.
func Places(s *registry.Snapshot, api *registry.API) []registry.Place {
	return places(api.Methods(), s)
}
