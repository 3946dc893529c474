package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"keyless/shared/oauth"
	"keyless/shared/seal"
)

// Snapshot is the small part of what is known, whole, at one revision: instances with their public keys, domains, upstreams, APIs,
// groups, and where credentials may stand. It is immutable.
type Snapshot struct {
	Revision   string
	Instances  map[string]*Instance
	KeySets    map[string]*KeySet // by instance
	Domains    map[string]*Domain // by host in lower case; the default domain always
	Upstreams  map[string]*Upstream
	APIs       map[string]*API
	Groups     map[string]*Group
	Global     *GlobalAuthentication
	Claims     []string        // the claim names that identify some consumer
	JWTPlaces  []Place         // where some consumer's token may stand
	KeyPlaces  []Place         // where some consumer's API key may stand
	Authorized map[string]bool // the APIs that some consumer is authorized on, by name
	Prices     []Price         // what usage costs; the first that fits
	Currency   string          // of every amount and price
	NotBefore  time.Time       // no token of our own instances that was issued earlier holds; zero: any
	Mapped     []string        // the headers that some claim is mapped to: a client's own never reach an upstream
	edition    string          // of foreign key sets: what was fetched before it does not count
	Pepper     []byte          // keys the hashes of secrets; nil without the master key

	routes []*API // published ones, longest base path first
}

// The fields of the Snapshot's hash: a name, or a prefix and the object's name.
const (
	fieldRevision = "revision"
	fieldFormat   = "format"
	fieldPepper   = "pepper"
	fieldGlobal   = "global"
	fieldCurrency = "currency"
	fieldPrices   = "prices"
	fieldEarliest = "not_before"
	fieldInstance = "instance:"
	fieldKeySet   = "jwks:"
	fieldDomain   = "domain:"
	fieldUpstream = "upstream:"
	fieldAPI      = "api:"
	fieldGroup    = "group:"
	fieldClaim    = "claim:"
	fieldPlace    = "jwtplace:"
	fieldKeyPlace = "keyplace:"
	fieldAuthz    = "authorized:"
	fieldMapped   = "mapped:"
	fieldEdition  = "keys_edition"
)

// placePepper binds the sealed pepper to its place.
const placePepper = "pepper"

func placeUpstreamKey(upstream string, i int) string {
	return fmt.Sprintf("upstream/%s/api_keys/%d", upstream, i)
}
func placeUpstreamOAuth(upstream string) string {
	return "upstream/" + upstream + "/oauth/client_secret"
}
func placeConsumerUpstreamKey(consumer, upstream string) string {
	return "consumer/" + consumer + "/upstream_keys/" + upstream
}
func placeConsumerJWKS(consumer string) string { return "consumer/" + consumer + "/jwt/jwks" }

// PlaceClientSecret is the place to which the hash and the sealed value of a client's secret are bound.
func PlaceClientSecret(instance, client, id string) string {
	return "client/" + instance + "/" + client + "/secret/" + id
}

// placeAPIKey is one for all API keys: a key is looked up before anybody knows whose it is.
const placeAPIKey = "api_key"

func placeAPIKeyValue(consumer, id string) string { return "consumer/" + consumer + "/api_key/" + id }
func placeHMACSecret(consumer, accessKey string) string {
	return "consumer/" + consumer + "/hmac/" + accessKey
}

// sealedPrefix stands before a sealed secret, in an entry and in a file.
const sealedPrefix = "sealed: "

// open returns a secret's clear text. Without keys, as in a function that needs no secret, it stays sealed.
func open(keys *seal.Keys, place string, s Secret) (Secret, error) {
	sealed, isSealed := strings.CutPrefix(string(s), sealedPrefix)
	if !isSealed || keys == nil {
		return s, nil
	}
	clear, err := keys.Open(place, sealed)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", place, err)
	}
	return Secret(clear), nil
}

// newSnapshot reads the fields of a store. Unknown fields are of a newer version's making and are passed over.
func newSnapshot(fields map[string]string, keys *seal.Keys) (*Snapshot, error) {
	s := &Snapshot{
		Revision:  fields[fieldRevision],
		Instances: map[string]*Instance{}, KeySets: map[string]*KeySet{},
		Domains:   map[string]*Domain{DefaultDomain: {Name: DefaultDomain}},
		Upstreams: map[string]*Upstream{}, APIs: map[string]*API{}, Groups: map[string]*Group{},
		Authorized: map[string]bool{},
	}
	for field, text := range fields {
		if err := s.read(field, text, keys); err != nil {
			return nil, fmt.Errorf("read registry entry %s: %w", field, err)
		}
	}
	for _, a := range s.APIs {
		if a.Published() {
			s.routes = append(s.routes, a)
		}
	}
	slices.SortFunc(s.routes, func(a, b *API) int {
		if d := len(b.BasePath) - len(a.BasePath); d != 0 {
			return d
		}
		return strings.Compare(a.Name, b.Name)
	})
	slices.Sort(s.Claims)
	for _, places := range [][]Place{s.JWTPlaces, s.KeyPlaces} {
		slices.SortFunc(places, func(a, b Place) int { return strings.Compare(a.String(), b.String()) })
	}
	return s, nil
}

func (s *Snapshot) read(field, text string, keys *seal.Keys) error {
	kind, name, _ := strings.Cut(field, ":")
	switch kind + ":" {
	case fieldInstance:
		return into(s.Instances, name, text)
	case fieldDomain:
		return into(s.Domains, lower(name), text)
	case fieldAPI:
		return into(s.APIs, name, text)
	case fieldGroup:
		return into(s.Groups, name, text)
	case fieldUpstream:
		return s.readUpstream(name, text, keys)
	case fieldKeySet:
		return s.readKeySet(name, text)
	case fieldClaim:
		s.Claims = append(s.Claims, name)
	case fieldPlace:
		place, err := ParsePlace(name)
		s.JWTPlaces = append(s.JWTPlaces, place)
		return err
	case fieldKeyPlace:
		place, err := ParsePlace(name)
		s.KeyPlaces = append(s.KeyPlaces, place)
		return err
	case fieldAuthz:
		s.Authorized[name] = true
	case fieldMapped:
		s.Mapped = append(s.Mapped, name)
	}
	switch field {
	case fieldGlobal:
		return s.readGlobal(text, keys)
	case fieldCurrency:
		s.Currency = text
	case fieldPrices:
		return json.Unmarshal([]byte(text), &s.Prices)
	case fieldEarliest:
		seconds, err := strconv.ParseInt(text, 10, 64)
		s.NotBefore = time.Unix(seconds, 0)
		return err
	case fieldEdition:
		s.edition = text
	case fieldPepper:
		return s.readPepper(text, keys)
	case fieldFormat:
		if format, err := strconv.Atoi(text); err != nil || format > FormatVersion {
			return fmt.Errorf("the store was written by a newer version (format %s)", text)
		}
	}
	return nil
}

func into[T any](objects map[string]*T, name, text string) error {
	object := new(T)
	objects[name] = object
	return json.Unmarshal([]byte(text), object)
}

func (s *Snapshot) readUpstream(name, text string, keys *seal.Keys) error {
	if err := into(s.Upstreams, name, text); err != nil {
		return err
	}
	u := s.Upstreams[name]
	for i, sealed := range u.APIKeys {
		clear, err := open(keys, placeUpstreamKey(name, i), sealed)
		if err != nil {
			return err
		}
		u.APIKeys[i] = clear
	}
	if u.Auth == nil || u.Auth.OAuth[oauthSecret] == "" {
		return nil
	}
	clear, err := open(keys, placeUpstreamOAuth(name), u.Auth.OAuth[oauthSecret])
	u.Auth.OAuth[oauthSecret] = clear
	return err
}

func (s *Snapshot) readGlobal(text string, keys *seal.Keys) error {
	s.Global = &GlobalAuthentication{}
	if err := json.Unmarshal([]byte(text), s.Global); err != nil {
		return err
	}
	if err := s.Global.compile(); err != nil || s.Global.JWKS == "" {
		return err
	}
	clear, err := open(keys, placeGlobalJWKS, s.Global.JWKS)
	if err != nil || strings.HasPrefix(string(clear), sealedPrefix) {
		return err
	}
	s.Global.keys, err = oauth.ParseJWKSet([]byte(clear), oauth.Pasted)
	return err
}

// HashAPIKey is the keyed hash by which an API key is stored and found. It needs the master key's pepper.
func (s *Snapshot) HashAPIKey(value string) (string, error) {
	if len(s.Pepper) == 0 {
		return "", errors.New("hash an API key: the registry's pepper cannot be opened")
	}
	return seal.Hash(s.Pepper, placeAPIKey, value), nil
}

func (s *Snapshot) readPepper(text string, keys *seal.Keys) error {
	if keys == nil {
		return nil
	}
	clear, err := open(keys, placePepper, Secret(text))
	s.Pepper = []byte(clear)
	return err
}

// Edition is the name under which a foreign key set is fetched and kept: its URL, and since RefreshKeys an edition behind it, as a
// fragment, which never leaves for the issuer (RFC 9110 §7.1).
func (s *Snapshot) Edition(jwksURL string) string {
	if s.edition == "" {
		return jwksURL
	}
	return jwksURL + "#" + s.edition
}

// RefreshKeys makes every instance fetch foreign key sets anew on its next request: a key that an issuer has withdrawn holds no longer.
// One round trip.
func RefreshKeys(ctx context.Context, store Store) error {
	return store.Write(ctx, Change{Set: map[string]string{fieldEdition: randomText(8)}})
}

// Empty reports whether nothing was ever applied.
func (s *Snapshot) Empty() bool { return s.Revision == "" }

// Domain finds the domain of a Host value: exact, then the longest "*.suffix", then the default domain. Port, trailing dot and letter
// case do not count.
func (s *Snapshot) Domain(host string) *Domain {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = lower(strings.TrimSuffix(host, "."))
	if d := s.Domains[host]; d != nil {
		return d
	}
	for rest := host; ; {
		_, suffix, found := strings.Cut(rest, ".")
		if !found {
			return s.Domains[DefaultDomain]
		}
		if d := s.Domains["*."+suffix]; d != nil {
			return d
		}
		rest = suffix
	}
}

// Route is what a request asks for.
type Route struct {
	Domain *Domain
	API    *API   // nil: no API matches
	Path   string // canonical, escaped, with the base path
}

// Rest returns the path as the upstream sees it.
func (r Route) Rest() string {
	if !r.API.StripBasePath {
		return r.Path
	}
	return strings.TrimPrefix(r.Path, strings.TrimSuffix(r.API.BasePath, "/"))
}

// Route finds the domain, then the API with the longest base path by whole segments. The error is ErrPath.
func (s *Snapshot) Route(r *http.Request) (Route, error) {
	route := Route{Domain: s.Domain(r.Host)}
	path, err := CanonicalPath(r)
	if err != nil {
		return route, err
	}
	route.Path = path
	for _, a := range s.routes {
		if Under(path, a.BasePath) && (len(a.Domains) == 0 || slices.Contains(a.Domains, route.Domain.Name)) {
			route.API = a
			return route, nil
		}
	}
	return route, nil
}

// Under reports whether the path stands at or below base, compared by whole segments.
func Under(path, base string) bool {
	base = strings.TrimSuffix(base, "/")
	return strings.HasPrefix(path, base) && (len(path) == len(base) || path[len(base)] == '/')
}
