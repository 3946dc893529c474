package auth

import (
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

// defaultPlace is where a token stands unless some consumer says otherwise.
var defaultPlace = registry.Place{In: registry.InHeader, Name: "authorization", Prefix: registry.DefaultPrefix}

// find returns every credential at a place that a consumer uses and of a method that the API takes. Credentials of other methods are
// not judged.
func find(r *http.Request, s *registry.Snapshot, api *registry.API) []credential {
	if !slices.Contains(api.Methods(), registry.MethodJWT) {
		return nil
	}
	places := s.JWTPlaces
	if len(places) == 0 {
		places = []registry.Place{defaultPlace}
	}
	var found []credential
	for _, place := range places {
		for _, sent := range Sent(r, place) {
			if value, ok := unprefixed(sent, place.Prefix); ok {
				found = append(found, credential{registry.MethodJWT, place, value})
			}
		}
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

// unprefixed takes the prefix off. Only the letter case of the default one is ignored (RFC 9110 §11.1); a custom one is byte-exact.
// Without its prefix a value is not there.
func unprefixed(sent, prefix string) (string, bool) {
	if len(sent) < len(prefix) || sent == "" {
		return "", false
	}
	head, value := sent[:len(prefix)], sent[len(prefix):]
	if head != prefix && (prefix != registry.DefaultPrefix || !strings.EqualFold(head, prefix)) {
		return "", false
	}
	return value, true
}
