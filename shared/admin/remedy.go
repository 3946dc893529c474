package admin

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"keyless/shared/auth"
	"keyless/shared/registry"
)

// remedies say, for each Reason, what would make the request pass: sentences by hand, with names of the configuration.
var remedies = map[auth.Reason]func(*inquiry) string{
	auth.JWTMissing: tokenMissing,
	auth.JWTExpired: func(*inquiry) string { return "exp has passed: get a new token from the issuer" },
	auth.JWTInvalid: tokenInvalid,

	auth.AccessDenied:         unauthorized,
	auth.ConsumerUnauthorized: unauthorized,
	auth.HMACUnauthorized:     unauthorized,
	auth.ModelNotAllowed:      otherModel,
	auth.ToolNotAllowed:       otherTool,
	auth.InsufficientScope: func(i *inquiry) string {
		return "get a token with each of the scopes " + strings.Join(i.decision.API.Scopes, ", ") +
			": ask for them, and have the client permitted to"
	},
	auth.TokenRevoked: func(*inquiry) string { return "the token was revoked: get a new one from the issuer" },

	auth.APIKeyMissing:  keyMissing,
	auth.APIKeyMultiple: oneCredential,
	auth.APIKeyInvalid:  keyInvalid,

	auth.HMACInvalidKey:       accessKeyInvalid,
	auth.HMACEmptySignature:   func(*inquiry) string { return "send the signature, base64, in X-Ca-Signature" },
	auth.HMACInvalidSignature: signatureInvalid,
	auth.HMACInvalidDate:      dateInvalid,
	auth.HMACInvalidDigest: func(*inquiry) string {
		return "sign the body that is sent: Content-MD5 is the base64 of the MD5 of its bytes; in the other dialect " +
			"Digest is SHA-256= and the base64 of their SHA-256, listed as signed"
	},
	auth.HMACReplayedNonce: func(*inquiry) string {
		return "sign each request anew: a nonce (X-Ca-Nonce) serves once, also when a request is sent again"
	},
	auth.HMACBodyNeeded: func(i *inquiry) string {
		return "a form is part of the signature, and the authorizer sees no bodies: send the parameters in the query or as another " +
			"content type, or give API " + i.decision.API.Name + " an upstream and call it through the proxy"
	},
	auth.BodyTooLarge: bodyTooLarge,
}

// remedy is the sentence for the decision's Reason.
func (i *inquiry) remedy() string {
	if say := remedies[i.decision.Reason]; say != nil {
		return say(i)
	}
	return "see the step that decided" // a Reason that the table lacks, which its test refuses
}

// unauthorized speaks of a consumer who is proven and may not call the API.
func unauthorized(i *inquiry) string {
	api, c := i.decision.API.Name, i.decision.Consumer
	if c == nil {
		return "add {api: " + api + "} to the authorizations of the consumer"
	}
	for _, a := range c.Authorizations {
		switch {
		case a.API != api:
		case a.ExpiresAt != nil && !i.o.Now().Before(*a.ExpiresAt):
			return "the authorization of consumer " + c.Name + " on API " + api + " expired at " +
				a.ExpiresAt.UTC().Format(time.RFC3339) + ": move its expires_at"
		default:
			return "consumer " + c.Name + " is authorized on API " + api + " by now: send the request again"
		}
	}
	add := "add {api: " + api + "} to the authorizations of consumer " + c.Name
	if i.view.Snapshot != nil && !i.view.Authorized[api] {
		return "nobody at all is authorized on API " + api + ": " + add
	}
	return add
}

func otherModel(i *inquiry) string {
	c := i.decision.Consumer
	if c == nil {
		return "name a model that the authorization lists, or add the model to it"
	}
	for _, a := range c.Authorizations {
		if a.API == i.decision.API.Name {
			return "name one of the models " + strings.Join(a.Models, ", ") + ", or add the model to the authorization of consumer " +
				c.Name + " on API " + a.API
		}
	}
	return "add a model to the authorization of consumer " + c.Name + " on API " + i.decision.API.Name
}

func otherTool(i *inquiry) string {
	c := i.decision.Consumer
	if c == nil {
		return "call a tool that the authorization lists, or add the tool to it"
	}
	for _, a := range c.Authorizations {
		if a.API == i.decision.API.Name && len(a.Tools) > 0 {
			return "call one of the tools " + strings.Join(a.Tools, ", ") + ", or add the tool to the authorization of consumer " +
				c.Name + " on API " + a.API
		}
	}
	return "add a tool to the authorization of consumer " + c.Name + " on API " + i.decision.API.Name
}

func keyMissing(i *inquiry) string {
	return "send an API key in " + i.places(i.keyPlaces()) + i.takes()
}

func (i *inquiry) keyPlaces() []registry.Place {
	if i.view.Snapshot == nil || len(i.view.KeyPlaces) == 0 {
		return []registry.Place{registry.BearerPlace}
	}
	return i.view.KeyPlaces
}

func keyInvalid(i *inquiry) string {
	if i.decision.Consumer != nil {
		return unauthorized(i)
	}
	return cmp.Or(i.beyondRemedy(), "send a key that some consumer has: this one belongs to nobody; "+
		"look for a letter that got lost, or give a consumer this key or a new one")
}

func (i *inquiry) beyondRemedy() string { return strings.Join(i.hidden, "; or ") }

// oneCredential speaks of a request with several.
func oneCredential(*inquiry) string {
	return "send one credential, once, at one of the places; proxies and SDKs like to add a second one"
}

func accessKeyInvalid(i *inquiry) string {
	if !i.decision.Sent {
		return "sign the request: access key in X-Ca-Key, signature in X-Ca-Signature, or Authorization: Signature with keyId" + i.takes()
	}
	return cmp.Or(i.beyondRemedy(),
		"send an access key that an enabled consumer has, once, in X-Ca-Key or as keyId: this one belongs to nobody")
}

func signatureInvalid(i *inquiry) string {
	for _, s := range i.decision.Trace {
		switch {
		case s.Name == "credential" && s.Fact == severalFact:
			return oneCredential(i)
		case s.Name == "nonce":
			return "list x-ca-nonce in X-Ca-Signature-Headers, and keep it to 128 bytes"
		case s.Name == "signature" && strings.HasPrefix(s.Fact, "SHA-1"):
			return "sign with HmacSHA256, or set allow_sha1 on the access key"
		case s.Name == "signature" && strings.HasPrefix(s.Fact, "the request's own words"):
			return "send a base64 signature and a method that is known: HmacSHA256 or HmacSHA1 in X-Ca-Signature-Method; " +
				"in Authorization: Signature every parameter quoted, and @request-target and Date listed in headers"
		}
	}
	return "compare the client's string to sign with the server's, which the refusal shows in X-Ca-Error-Message; " +
		"where they are equal the secret key is another one"
}

func dateInvalid(i *inquiry) string {
	window := registry.DefaultHMACWindow
	for _, c := range i.known {
		if c.HMAC != nil {
			window = c.HMAC.Window.Or(window)
		}
	}
	return fmt.Sprintf("send a Date, or an X-Ca-Timestamp that is listed in X-Ca-Signature-Headers, within %s of the gateway's clock",
		registry.Duration(window))
}

func bodyTooLarge(i *inquiry) string {
	a := i.decision.API
	return fmt.Sprintf("send at most %d bytes, or raise body_max_bytes of API %s",
		cmp.Or(a.BodyMaxBytes, int64(registry.DefaultBodyMaxBytes)), a.Name)
}

// places writes where a credential may stand, and what is wrong with what stands there already.
func (i *inquiry) places(list []registry.Place) string {
	var names, unfit []string
	for _, p := range list {
		names = append(names, placeName(p))
		if i.request != nil && len(auth.Sent(i.request, p)) > 0 {
			unfit = append(unfit, p.In+" "+p.Name)
		}
	}
	text := strings.Join(slices.Compact(names), " or ")
	if len(unfit) > 0 {
		slices.Sort(unfit)
		text += "; what is in " + strings.Join(slices.Compact(unfit), " and ") + " is empty or does not begin with the prefix"
	}
	return text
}

// takes says which methods the API takes.
func (i *inquiry) takes() string {
	if methods := i.decision.API.Methods(); len(methods) > 0 {
		return "; API " + i.decision.API.Name + " takes " + strings.Join(methods, ", ")
	}
	return ""
}
