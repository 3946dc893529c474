package auth_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"keyless/shared/auth"
	"keyless/shared/registry"
)

// FuzzHMACString looks for a request of either dialect that panics, or whose string to sign is longer than what was sent.
func FuzzHMACString(f *testing.F) {
	for _, v := range caVectors {
		r := v.request(v.signature)
		f.Add(v.method, v.target, "", r.Header.Get("X-Ca-Signature-Headers"), v.signature, r.Header.Get("Date"), v.body)
	}
	for _, v := range apisixVectors {
		f.Add(v.method, v.target, v.apisix("k", v.signature).Header.Get("Authorization"), "", "", v.headers[0], v.body)
	}
	f.Add("GET", "/?%zz&&=&a=%00&%61=2", "Signature keyId=\"\",,", ",,,X", "====", "Mon", "a=%")
	f.Add("GET", "/a", `Signature keyId="k",algorithm="hmac-sha1",headers="@request-target @request-target",signature="AAAA"`, "", "", "", "")
	f.Fuzz(func(t *testing.T, method, target, authorization, list, signature, date, body string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		r := &http.Request{Method: method, URL: u, Host: "h", Header: http.Header{
			"X-Ca-Key": {"k"}, "X-Ca-Signature": {signature}, "X-Ca-Signature-Headers": {list}, "Date": {date},
			"Content-Type": {formType}, "Accept": {list},
		}}
		if authorization != "" {
			r.Header["Authorization"] = []string{authorization}
		}
		text, problem := auth.StringToSign(r, []byte(body))
		again, _ := auth.StringToSign(r, []byte(body))
		if text != again {
			t.Errorf("two strings of one request: %q and %q", text, again)
		}
		// Each of at most 32 listed headers adds its name and one value; a path may be encoded anew, threefold.
		sent := len(method) + 3*len(target) + len(authorization) + len(list) + len(signature) + len(date) + len(body) + len(formType)
		if bound := 40*(sent+16) + 40*len(list); len(text) > bound {
			t.Errorf("%d bytes of %d sent", len(text), sent)
		}
		if problem != "" && (text != "" || problem.Refusal().Status != http.StatusUnauthorized) {
			t.Errorf("refused by %q with a string", problem)
		}
	})
}

// FuzzAuthorizationHeader looks for a value of Authorization that panics, or that is two credentials.
func FuzzAuthorizationHeader(f *testing.F) {
	for _, seed := range []string{
		"", " ", "Bearer", "Bearer ", "bearer x", "DPoP a.b.c", "dpop x", "DPoP", "DPoP ", "Bearer  x", "Bearer\tx", "Bearer a.b.c", "Token a.b.c", "Bearer kg_x", "kg_x", "Basic eA==",
		"Signature ", `Signature keyId="k",algorithm="hmac-sha256",headers="@request-target date",signature="AAAA"`,
		"signature x", "Bearer Signature x", "Signature Bearer x", "\x00", "Bearer \xff.\xff.\xff", "Bearer a.b.c, Bearer d.e.f",
		strings.Repeat("Bearer ", 40),
	} {
		f.Add(seed)
	}
	places := []registry.Place{
		registry.BearerPlace, {In: "header", Name: "authorization", Prefix: "Token "}, {In: "header", Name: "authorization"},
	}
	worlds := []struct {
		snapshot *registry.Snapshot
		api      registry.API
	}{
		{&registry.Snapshot{}, api("a", "jwt", "api_key", "hmac")},
		{&registry.Snapshot{JWTPlaces: places, KeyPlaces: places}, api("a", "jwt", "api_key", "hmac")},
		{&registry.Snapshot{JWTPlaces: places[:2], KeyPlaces: places[2:]}, api("a", "api_key", "jwt")},
		{&registry.Snapshot{JWTPlaces: places, KeyPlaces: places}, api("a", "hmac")},
		{&registry.Snapshot{KeyPlaces: places}, api("a", "api_key")},
	}
	f.Fuzz(func(t *testing.T, value string) {
		r := &http.Request{Method: "GET", URL: &url.URL{Path: "/a"}, Header: http.Header{"Authorization": {value}}}
		for i, w := range worlds {
			found := auth.Found(r, w.snapshot, &w.api)
			if len(found) > 1 {
				t.Errorf("world %d: one value is %v", i, found)
			}
			for _, method := range found {
				if !strings.Contains(strings.Join(w.api.Methods(), " "), method) {
					t.Errorf("world %d: %s is not taken", i, method)
				}
			}
			r.Header["Authorization"] = []string{value, value}
			if twice := auth.Found(r, w.snapshot, &w.api); len(twice) != 2*len(found) {
				t.Errorf("world %d: once %v, twice %v", i, found, twice)
			}
			r.Header["Authorization"] = []string{value}
		}
	})
}
