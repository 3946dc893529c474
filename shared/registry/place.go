package registry

import (
	"fmt"
	"strings"

	"keyless/shared/seal"
)

// Where a credential can stand in a request.
const (
	InHeader = "header"
	InQuery  = "query"
	InCookie = "cookie"
)

// Place is where a credential stands: in a header (name in lower case), a query parameter or a cookie, behind a prefix.
type Place struct {
	In     string
	Name   string
	Prefix string
}

// String writes the place in the one form that ParsePlace reads: it is part of a stored field's name.
func (p Place) String() string { return p.In + ":" + p.Name + ":" + p.Prefix }

// ParsePlace reads what String writes.
func ParsePlace(text string) (Place, error) {
	parts := strings.SplitN(text, ":", 3)
	if len(parts) != 3 || (parts[0] != InHeader && parts[0] != InQuery && parts[0] != InCookie) {
		return Place{}, fmt.Errorf("no place of a credential: %q", text)
	}
	return Place{In: parts[0], Name: parts[1], Prefix: parts[2]}, nil
}

// BearerPlace is where a credential stands unless a consumer says otherwise.
var BearerPlace = Place{In: InHeader, Name: "authorization", Prefix: DefaultPrefix}

// IndexJWT is the index under which the consumers stand whose claim has the value.
func IndexJWT(claim, value string) string { return seal.Digest("jwt", claim, value) }

// IndexAPIKey is the index under which the consumer stands whose key, at the place, has the hash.
func IndexAPIKey(place Place, hash string) string {
	return seal.Digest("api_key", place.String(), hash)
}

// IndexHMAC is the index under which the consumer of an access key stands.
func IndexHMAC(accessKey string) string { return seal.Digest("hmac", accessKey) }

// NonceKey names a used nonce of an access key.
func NonceKey(accessKey, nonce string) string { return seal.Digest("nonce", accessKey, nonce) }
