package registry

import (
	"encoding/json"
	"errors"
	"slices"
)

// Strings is one string or a list of them, as aud is.
type Strings []string

// UnmarshalJSON reads either form.
func (s *Strings) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*s = nil
		if one != "" {
			*s = Strings{one}
		}
		return nil
	}
	var list []string
	if json.Unmarshal(text, &list) != nil {
		return errors.New("a string or a list of strings")
	}
	*s = list
	return nil
}

// MarshalJSON writes one string where there is one.
func (s Strings) MarshalJSON() ([]byte, error) {
	if len(s) == 1 {
		return json.Marshal(s[0])
	}
	return json.Marshal([]string(s))
}

// UnmarshalJSON reads "disabled" or {"methods":[…]}.
func (a *Authentication) UnmarshalJSON(text []byte) error {
	var word string
	if json.Unmarshal(text, &word) == nil {
		if word != string(Disabled) {
			return errors.New("authentication is the word disabled, or {methods: [jwt, api_key, hmac]}")
		}
		*a = Authentication{Disabled: true}
		return nil
	}
	var form struct {
		Methods []string `json:"methods"`
	}
	if err := json.Unmarshal(text, &form); err != nil {
		return errors.New("authentication is the word disabled, or {methods: [jwt, api_key, hmac]}")
	}
	*a = Authentication{Methods: form.Methods}
	return nil
}

// MarshalJSON writes the form that UnmarshalJSON reads.
func (a Authentication) MarshalJSON() ([]byte, error) {
	if a.Disabled {
		return json.Marshal(Disabled)
	}
	return json.Marshal(map[string][]string{"methods": slices.Clone(a.Methods)})
}

// UnmarshalJSON reads "bearer", {"header": NAME} or {"query": NAME}.
func (k *KeySource) UnmarshalJSON(text []byte) error {
	var word string
	if json.Unmarshal(text, &word) == nil {
		if word != "bearer" {
			return errors.New("source is the word bearer, {header: NAME} or {query: NAME}")
		}
		*k = KeySource{}
		return nil
	}
	var form struct {
		Header string `json:"header"`
		Query  string `json:"query"`
	}
	if json.Unmarshal(text, &form) != nil || (form.Header == "") == (form.Query == "") {
		return errors.New("source is the word bearer, {header: NAME} or {query: NAME}")
	}
	*k = KeySource{Header: form.Header, Query: form.Query}
	return nil
}

// MarshalJSON writes the form that UnmarshalJSON reads.
func (k KeySource) MarshalJSON() ([]byte, error) {
	switch {
	case k.Header != "":
		return json.Marshal(map[string]string{"header": k.Header})
	case k.Query != "":
		return json.Marshal(map[string]string{"query": k.Query})
	}
	return json.Marshal("bearer")
}
