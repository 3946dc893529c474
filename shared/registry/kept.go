package registry

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"keyless/shared/oauth"
)

// Kept stands in place of a secret that is set. Sent back, it means the secret that is stored.
const Kept = "[kept]"

// secrecy says whether a value of a field is a secret; key is that of a map.
type secrecy func(key string, s Secret) bool

func always(string, Secret) bool { return true }

// secretFields are the fields that hold a secret. A Secret that is not named here is treated as one always, and a test fails.
var secretFields = map[string]secrecy{
	"ClientSecret.Value":        always,
	"APIKey.Value":              always,
	"HMACKey.SecretKey":         always,
	"Upstream.APIKeys":          always,
	"Consumer.UpstreamKeys":     always,
	"JWTCredential.JWKS":        notPublic,
	"GlobalAuthentication.JWKS": notPublic,
	"UpstreamAuth.OAuth":        func(key string, _ Secret) bool { return key == oauthSecret },
}

// notPublic reports whether a JWK Set is more than public keys.
func notPublic(_ string, s Secret) bool {
	keys, err := oauth.ParseJWKSet([]byte(s), oauth.Pasted)
	return err != nil || len(keys) == 0 || keys[0].Symmetric()
}

// place is where a secret stands in an object.
type secretPlace struct {
	path  string // as in "api_key.keys[k1].value": items by their id where they have one
	list  string // path of the list, for an item that has no id
	index int    // in that list
	count int    // of items in that list
	held  bool   // its hash is stored
	rule  secrecy
	key   string // of a map
}

// walkSecrets visits every secret of an object and puts what visit returns in its place.
func walkSecrets(v reflect.Value, at secretPlace, visit func(secretPlace, Secret) Secret) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			walkSecrets(v.Elem(), at, visit)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		list := at.path
		for i := range v.Len() {
			at.path, at.list, at.index, at.count = list+"["+identity(v.Index(i), i)+"]", list, i, v.Len()
			walkSecrets(v.Index(i), at, visit)
		}
	case reflect.Map:
		if v.Type().Elem() != reflect.TypeFor[Secret]() {
			return
		}
		object := at.path
		for _, key := range v.MapKeys() {
			at.path, at.key = object+"."+key.String(), key.String()
			v.SetMapIndex(key, reflect.ValueOf(visit(at, Secret(v.MapIndex(key).String()))))
		}
	case reflect.Struct:
		walkStruct(v, at, visit)
	case reflect.String:
		if v.Type() == reflect.TypeFor[Secret]() {
			v.SetString(string(visit(at, Secret(v.String()))))
		}
	}
}

func walkStruct(v reflect.Value, at secretPlace, visit func(secretPlace, Secret) Secret) {
	if v.Type().PkgPath() != reflect.TypeFor[Config]().PkgPath() {
		return
	}
	object := at.path
	hash := v.FieldByName("Hash")
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !field.IsExported() || name == "-" || name == "" {
			continue
		}
		at.path = strings.TrimPrefix(object+"."+name, ".")
		at.held = hash.IsValid() && hash.String() != ""
		at.rule = always
		if rule, listed := secretFields[v.Type().Name()+"."+field.Name]; listed {
			at.rule = rule
		}
		walkSecrets(v.Field(i), at, visit)
	}
}

// identity tells an item of a list from the others: by its id, or by its place.
func identity(item reflect.Value, i int) string {
	if item.Kind() == reflect.Struct {
		for _, name := range []string{"ID", "AccessKey"} {
			if id := item.FieldByName(name); id.IsValid() {
				return id.String()
			}
		}
	}
	return strconv.Itoa(i)
}

// redact puts the mark in place of every secret of an object, and removes what is stored only. The object is its caller's own.
func redact(object any) {
	walkSecrets(reflect.ValueOf(object), secretPlace{}, func(at secretPlace, s Secret) Secret {
		switch {
		case s == "" && !at.held, s != "" && !at.rule(at.key, s):
			return s
		case at.list+"["+strconv.Itoa(at.index)+"]" == at.path && at.count > 1:
			return Secret(fmt.Sprintf("[kept:%d]", at.index))
		}
		return Kept
	})
	hide(reflect.ValueOf(object))
}

// hide empties the fields that are stored and not of the file.
func hide(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			hide(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			hide(v.Index(i))
		}
	case reflect.Struct:
		if v.Type().PkgPath() != reflect.TypeFor[Config]().PkgPath() {
			return
		}
		for i := range v.NumField() {
			switch field := v.Type().Field(i); {
			case !field.IsExported():
			case field.Tag.Get("file") == "-":
				v.Field(i).SetZero()
			default:
				hide(v.Field(i))
			}
		}
	}
}

// redacted is a stored text of a kind in the form of the file, without its secrets; nil for no text.
func redacted(kind, text string) (json.RawMessage, error) {
	if text == "" {
		return nil, nil
	}
	if kind == kindCurrency {
		return json.Marshal(text)
	}
	object := newObject(kind)
	if err := json.Unmarshal([]byte(text), object); err != nil {
		return nil, fmt.Errorf("read the stored %s: %w", kind, err)
	}
	redact(object)
	again, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("write the %s without its secrets: %w", kind, err)
	}
	return again, nil
}

// keptIndex reads the mark of a secret in a list: its number there, or -1 for the mark without one.
func keptIndex(s Secret) (int, bool) {
	if s == Kept {
		return -1, true
	}
	number, is := strings.CutPrefix(strings.TrimSuffix(string(s), "]"), "[kept:")
	n, err := strconv.Atoi(number)
	return n, is && err == nil && n >= 0
}

// restore puts stored secrets in place of the marks in an object. Those of a list without ids come opened where they move, for a sealed
// secret is bound to its place.
func (s *sealer) restore(object, stored any, upstream string) Faults {
	had, held, count := map[string]Secret{}, map[string]bool{}, map[string]int{}
	walkSecrets(reflect.ValueOf(stored), secretPlace{}, func(at secretPlace, secret Secret) Secret {
		had[at.path], held[at.path] = secret, secret != "" || at.held
		count[at.list] = max(count[at.list], at.count)
		return secret
	})
	var faults Faults
	walkSecrets(reflect.ValueOf(object), secretPlace{}, func(at secretPlace, secret Secret) Secret {
		n, is := keptIndex(secret)
		if !is {
			return secret
		}
		ofList := at.list+"["+strconv.Itoa(at.index)+"]" == at.path
		from := at.path
		switch {
		case ofList && n < 0 && count[at.list] > 1 && count[at.list] != at.count:
			faults = append(faults, Fault{at.path, "is kept, but which? Write [kept:0] for the first that is stored, and so on"})
			return ""
		case ofList && n >= 0:
			from = at.list + "[" + strconv.Itoa(n) + "]"
		case n >= 0:
			from = ""
		}
		if !held[from] {
			faults = append(faults, Fault{at.path, "is kept, but nothing is stored there; write the secret"})
			return ""
		}
		if ofList && n >= 0 && n != at.index {
			clear, _ := s.clear(spot(at.path), placeUpstreamKey(upstream, n), had[from])
			return Secret(clear)
		}
		return had[from]
	})
	return append(faults, s.faults...)
}
