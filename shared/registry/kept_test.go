package registry

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"keyless/shared/seal"
)

// suspicious are parts of names that a field with a secret could have.
var suspicious = []string{"secret", "key", "password", "token", "pem", "jwks", "oauth", "sigv4", "hash", "pepper"}

// innocent are the fields with such a name that hold none, each with its reason.
var innocent = map[string]string{
	"Config.Pepper":                     "sealed always, and in a whole export only",
	"Instance.SecretStorage":            "how, not what",
	"Instance.KeyRotation":              "a time",
	"Instance.TokenLifetime":            "a time",
	"ResourceServer.TokenLifetime":      "a time",
	"Client.Secrets":                    "a list whose items are visited",
	"Client.JWKSURL":                    "a URL without user and password",
	"Client.JWKS":                       "public keys only, as Validate sees to",
	"Client.PublicKeys":                 "public keys only, as Validate sees to",
	"Client.TokenExchange":              "whose tokens are taken",
	"ClientSecret.Hash":                 "hidden: it is stored and not of the file",
	"FederatedCredential.JWKS":          "public keys only, as Validate sees to",
	"FederatedCredential.JWKSURL":       "a URL without user and password",
	"SubjectIssuer.JWKS":                "public keys only, as Validate sees to",
	"SubjectIssuer.JWKSURL":             "a URL without user and password",
	"UpstreamAuth.SigV4":                "service and region; what signs is the role's, of the environment",
	"API.MaxTokensDefault":              "a number",
	"Limits.TokensPerMinute":            "a number",
	"Limits.TokensPerHour":              "a number",
	"Limits.TokensPerDay":               "a number",
	"Limits.TokensPerMonth":             "a number",
	"Consumer.APIKey":                   "an object whose fields are visited",
	"JWTCredential.JWKSURL":             "a URL without user and password",
	"JWTCredential.PassToken":           "a switch",
	"GlobalAuthentication.JWKSURL":      "a URL without user and password",
	"GlobalAuthentication.PassToken":    "a switch",
	"APIKeyCredential.Keys":             "a list whose items are visited",
	"APIKey.Hash":                       "hidden: it is stored and not of the file",
	"HMACCredential.Keys":               "a list whose items are visited",
	"HMACKey.AccessKey":                 "a name that its owner sends in clear",
	"APIKeyCredential.Source":           "a place",
	"Instance.PrivacyAgreementBy":       "a name",
	"FederatedCredential.MaxAge":        "a time",
	"UpstreamAuth.Prefix":               "a word before the key",
	"Target.Models":                     "names",
	"Client.FederatedCredentials":       "a list whose items are visited",
	"Instance.PrivacyAgreementAccepted": "a time",
}

// Whoever adds a field to the types decides whether it holds a secret.
func TestEveryFieldOfTheTypesIsJudged(t *testing.T) {
	t.Parallel()
	seen, listed := map[reflect.Type]bool{}, map[string]bool{}
	var visit func(reflect.Type)
	visit = func(kind reflect.Type) {
		for kind.Kind() == reflect.Pointer || kind.Kind() == reflect.Slice || kind.Kind() == reflect.Map {
			kind = kind.Elem()
		}
		if kind.Kind() != reflect.Struct || seen[kind] || kind.PkgPath() != reflect.TypeFor[Config]().PkgPath() {
			return
		}
		seen[kind] = true
		for i := range kind.NumField() {
			field := kind.Field(i)
			if !field.IsExported() || field.Tag.Get("json") == "-" {
				continue
			}
			name := kind.Name() + "." + field.Name
			_, secret := secretFields[name]
			listed[name] = true
			bare := field.Type
			for bare.Kind() == reflect.Pointer || bare.Kind() == reflect.Slice || bare.Kind() == reflect.Map {
				bare = bare.Elem()
			}
			if bare == reflect.TypeFor[Secret]() && !secret && innocent[name] == "" {
				t.Errorf("%s is a Secret and not in secretFields", name)
			}
			for _, word := range suspicious {
				if strings.Contains(strings.ToLower(field.Name+" "+field.Tag.Get("json")), word) && !secret && innocent[name] == "" {
					t.Errorf("%s could hold a secret: name it in secretFields, or here with the reason why it holds none", name)
				}
			}
			visit(field.Type)
		}
	}
	visit(reflect.TypeFor[Config]())
	for name := range secretFields {
		if !listed[name] {
			t.Errorf("%s is in secretFields and not a field", name)
		}
	}
}

// fill puts a marker into every Secret and every hash of an object.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.Type().Elem().PkgPath() == reflect.TypeFor[Config]().PkgPath() || v.Type().Elem().Kind() == reflect.String {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem())
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.Uint8 && v.Type().Elem().Kind() != reflect.Interface {
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
			fill(v.Index(0))
			fill(v.Index(1))
		}
	case reflect.Map:
		if v.Type().Elem().Kind() == reflect.String {
			v.Set(reflect.MakeMap(v.Type()))
			v.SetMapIndex(reflect.ValueOf(oauthSecret), reflect.ValueOf("marker").Convert(v.Type().Elem()))
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() || v.Type() == reflect.TypeFor[Limits]() {
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i))
			}
		}
	case reflect.String:
		if v.Type() == reflect.TypeFor[Secret]() {
			v.SetString("marker")
		} else {
			v.SetString("text")
		}
	}
}

func TestNoSecretOfAnyFieldIsShown(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{EditInstance, EditClient, EditDomain, EditUpstream, EditAPI, EditGroup, EditConsumer, EditGlobal,
		EditPrices, EditSettings} {
		object := newObject(kind)
		fill(reflect.ValueOf(object).Elem())
		redact(object)
		text, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		shown := strings.ReplaceAll(string(text), `"sigv4":{"client_secret":"marker"}`, "") // a map of words
		shown = strings.ReplaceAll(shown, `"claims":{"client_secret":"marker"}`, "")
		shown = strings.ReplaceAll(shown, `"models":{"client_secret":"marker"}`, "")
		shown = strings.ReplaceAll(shown, `"headers":{"client_secret":"marker"}`, "")
		if strings.Contains(shown, "marker") || strings.Contains(shown, "hash") {
			t.Errorf("%s shows a secret: %s", kind, shown)
		}
	}
}

func TestPublicKeysAreShown(t *testing.T) {
	t.Parallel()
	const public = `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	for set, want := range map[Secret]Secret{public: public, "sealed: v1:x": Kept, `{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`: Kept, "broken": Kept} {
		c := &Consumer{JWT: &JWTCredential{JWKS: set}}
		if redact(c); c.JWT.JWKS != want {
			t.Errorf("%q is shown as %q", set.Reveal(), c.JWT.JWKS.Reveal())
		}
	}
}

// The keys of an upstream have no ids and are bound to their places, and are kept where they move.
func TestKeptKeysOfAnUpstreamMove(t *testing.T) {
	t.Parallel()
	keys, err := seal.ParseKeys(seal.NewMasterKey())
	if err != nil {
		t.Fatal(err)
	}
	had := &Upstream{Name: "u"}
	for i, key := range []string{"zero", "one", "two"} {
		sealed, err := keys.Seal(placeUpstreamKey("u", i), []byte(key))
		if err != nil {
			t.Fatal(err)
		}
		had.APIKeys = append(had.APIKeys, Secret(sealedPrefix+sealed))
	}
	for name, row := range map[string]struct{ sent, want string }{
		"all by their places": {"[kept] [kept] [kept]", "zero one two"},
		"all by number":       {"[kept:0] [kept:1] [kept:2]", "zero one two"},
		"turned round":        {"[kept:2] [kept:1] [kept:0]", "two one zero"},
		"the first removed":   {"[kept:1] [kept:2]", "one two"},
		"one put before":      {"new [kept:0] [kept:1] [kept:2]", "new zero one two"},
		"one replaced":        {"[kept] new [kept]", "zero new two"},
		"fewer, unsaid which": {"[kept] [kept]", "fault api_keys[0] api_keys[1]"},
		"one too many":        {"[kept:3]", "fault api_keys[0]"},
	} {
		sent := &Upstream{Name: "u"}
		for word := range strings.FieldsSeq(row.sent) {
			sent.APIKeys = append(sent.APIKeys, Secret(word))
		}
		s := &sealer{keys: keys}
		faults := s.restore(sent, had, "u")
		var got []string
		if len(faults) > 0 {
			got = []string{"fault"}
			for _, f := range faults {
				got = append(got, f.Path)
			}
		} else {
			s.upstream("u", sent, had)
			for i, sealed := range sent.APIKeys {
				clear, err := open(keys, placeUpstreamKey("u", i), sealed)
				if err != nil || !strings.HasPrefix(string(sealed), sealedPrefix) {
					t.Errorf("%s: key %d does not open at its place: %v", name, i, err)
				}
				got = append(got, string(clear))
			}
		}
		if strings.Join(got, " ") != row.want || len(s.faults) > 0 {
			t.Errorf("%s: %v, want %s, %v", name, got, row.want, s.faults)
		}
	}
}
