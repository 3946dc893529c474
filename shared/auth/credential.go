package auth

import (
	"cmp"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"keyless/shared/registry"
)

// credential is a value found at an accepted place, without its prefix.
type credential struct {
	method string
	place  registry.Place
	value  string
}

// find returns every credential of the request that stands at a place which some consumer uses and is of a method that the API takes.
// Credentials of other methods are not judged.
func find(r *http.Request, s *registry.Snapshot, api *registry.API) []credential {
	methods := api.Methods()
	var found []credential
	if slices.Contains(methods, registry.MethodHMAC) {
		found = signedBy(r)
	}
	takes := places(methods, s)
	for i, place := range takes {
		if i > 0 && takes[i-1].In == place.In && takes[i-1].Name == place.Name {
			continue // the first of a place has seen to all prefixes there
		}
		for _, sent := range Sent(r, place) {
			if one, ok := classify(sent, place, takes, methods, s); ok {
				found = append(found, one)
			}
		}
	}
	return found
}

// places are where the API's tokens and API keys may stand, one after the other those at the same place, the longest prefix first.
func places(methods []string, s *registry.Snapshot) []registry.Place {
	var list []registry.Place
	if slices.Contains(methods, registry.MethodJWT) {
		list = append(list, s.JWTPlaces...)
		if len(s.JWTPlaces) == 0 {
			list = append(list, registry.BearerPlace)
		}
	}
	if slices.Contains(methods, registry.MethodAPIKey) {
		list = append(list, s.KeyPlaces...)
	}
	if len(list) == 0 && slices.Contains(methods, registry.MethodAPIKey) {
		list = append(list, registry.BearerPlace) // nobody has a key yet: one that is sent is invalid, not missing
	}
	slices.SortFunc(list, func(a, b registry.Place) int {
		return cmp.Or(cmp.Compare(a.In, b.In), cmp.Compare(a.Name, b.Name), len(b.Prefix)-len(a.Prefix))
	})
	return list
}

// classify says what a value at a place is. Of the prefixes in use there the longest that fits counts, so that one value is one
// credential. Where tokens and API keys share a place, a value with exactly two dots is a token.
func classify(
	sent string, at registry.Place, takes []registry.Place, methods []string, s *registry.Snapshot,
) (credential, bool) {
	takesTokens := slices.Contains(methods, registry.MethodJWT)
	if strings.HasPrefix(sent, signatureScheme) && isAuthorization(at) && slices.Contains(methods, registry.MethodHMAC) {
		return credential{}, false // signedBy has found it
	}
	if takesTokens && isAuthorization(at) && (len(s.JWTPlaces) == 0 || slices.ContainsFunc(s.JWTPlaces, isAuthorization)) {
		if value, ok := unprefixed(sent, dpopPlace.Prefix); ok && value != "" {
			return credential{registry.MethodJWT, dpopPlace, value}, true
		}
	}
	for _, place := range takes {
		if place.In != at.In || place.Name != at.Name {
			continue
		}
		value, ok := unprefixed(sent, place.Prefix)
		if !ok || value == "" {
			continue
		}
		isToken := takesTokens && (slices.Contains(s.JWTPlaces, place) || place == registry.BearerPlace)
		isKey := slices.Contains(methods, registry.MethodAPIKey) && (!takesTokens || slices.Contains(s.KeyPlaces, place))
		if isKey && (!isToken || strings.Count(value, ".") != 2) {
			return credential{registry.MethodAPIKey, place, value}, true
		}
		return credential{registry.MethodJWT, place, value}, true
	}
	return credential{}, false
}

// isAuthorization reports whether a place is the header Authorization, behind whatever prefix.
func isAuthorization(p registry.Place) bool {
	return p.In == registry.InHeader && p.Name == registry.BearerPlace.Name
}

// signedBy finds HMAC signatures of either dialect.
func signedBy(r *http.Request) []credential {
	var found []credential
	if len(r.Header[caKey]) > 0 || len(r.Header[caSignature]) > 0 {
		found = append(found, credential{method: registry.MethodHMAC, place: registry.Place{In: registry.InHeader, Name: "x-ca-key"}})
	}
	for range authorizationSignatures(r) {
		place := registry.Place{In: registry.InHeader, Name: registry.BearerPlace.Name, Prefix: signatureScheme}
		found = append(found, credential{method: registry.MethodHMAC, place: place})
	}
	return found
}

// Sent returns the values that a request has at a place, prefix included, as often as they were sent.
func Sent(r *http.Request, place registry.Place) []string {
	switch place.In {
	case registry.InHeader:
		return r.Header[textproto.CanonicalMIMEHeaderKey(place.Name)]
	case registry.InQuery:
		return queryValues(r.URL.RawQuery, place.Name)
	case registry.InCookie:
		var values []string
		for _, c := range r.CookiesNamed(place.Name) {
			values = append(values, c.Value)
		}
		return values
	}
	return nil
}

// queryValues reads the parameters of a name in order. Text that does not decode has no name.
func queryValues(raw, name string) []string {
	var values []string
	for pair := range strings.SplitSeq(raw, "&") {
		k, v, _ := strings.Cut(pair, "=")
		key, err := url.QueryUnescape(k)
		if err != nil || key != name {
			continue
		}
		if value, err := url.QueryUnescape(v); err == nil {
			values = append(values, value)
		} else {
			values = append(values, v)
		}
	}
	return values
}

// Fits reports whether a value as it was sent stands behind the prefix of a place, so that it is a credential there.
func Fits(sent string, place registry.Place) bool {
	_, ok := unprefixed(sent, place.Prefix)
	return ok
}

// unprefixed takes the prefix off. Only the letter case of the default one and of DPoP is ignored (RFC 9110 §11.1); a custom one is
// byte-exact.
// Without its prefix a value is not there.
func unprefixed(sent, prefix string) (string, bool) {
	if len(sent) < len(prefix) || sent == "" {
		return "", false
	}
	head, value := sent[:len(prefix)], sent[len(prefix):]
	if head != prefix && (prefix != registry.DefaultPrefix && prefix != dpopPlace.Prefix || !strings.EqualFold(head, prefix)) {
		return "", false
	}
	return value, true
}
