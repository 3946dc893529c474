package auth

import (
	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// Decision is the gate's answer. Refused, it carries the Reason; allowed, who calls and what the upstream shall be told of it.
type Decision struct {
	Allowed  bool
	Reason   Reason // "" when allowed
	API      *registry.API
	Method   string             // by which the caller proved itself, or tried to
	Place    registry.Place     // where the credential stood
	Sent     bool               // a credential was sent
	Consumer *registry.Consumer // nil on an open API and where nobody was identified
	models   []string           // globs of the models that the consumer may name; empty: all
	tools    []string           // the same of tools
	Subject  string             // sub of a verified token
	ClientID string             // client_id of a verified token

	// Revocation is the digest (registry.Revocation) under which the admission looks whether the token was revoked; "" where
	// nobody but its issuer could tell.
	Revocation string

	Headers []Header // from claims_to_headers
	Trace   []Step

	// StringToSign is the server's text of an HMAC signature that does not fit, for the caller to compare with its own.
	StringToSign string

	// Certain says that no knowledge of the registry could change the refusal, so that nobody need be asked.
	Certain bool

	// ProofNonce is a nonce for the answer's header DPoP-Nonce, refused or allowed; "": none (RFC 9449 §8.2, §9).
	ProofNonce string

	passGlobal bool         // global authentication passes its token on
	jkt        string       // thumbprint of the DPoP key that the token says it is bound to
	proof      *oauth.Proof // that came with such a token
	dpop       bool         // the token is bound so, or stands behind the scheme DPoP, or should
	dpopFault  string       // error of the challenge where the proof is at fault
	metadata   string       // URL of the API's protected resource metadata, for MCP clients
}

// Header is a request header that the upstream gets from a verified claim; an empty Value removes it.
type Header struct {
	Name, Value string
}

// Step is one step of a decision and the fact that it rests on. It never holds a secret, a token or a claim's value.
type Step struct {
	Name string `json:"step"`
	Fact string `json:"fact"`
}

func (d *Decision) step(name, fact string) { d.Trace = append(d.Trace, Step{name, fact}) }

func (d *Decision) refuse(reason Reason) { d.Allowed, d.Reason = false, reason }

// Result says how the decision stands towards old knowledge, for registry.Reader.Consult.
func (d *Decision) Result() registry.Result {
	if d.Allowed || d.Certain {
		return registry.Final
	}
	return registry.Refused
}

// Single reports whether what the caller proved holds for this request alone: a signature covers the path, a DPoP proof the URL. No
// answer may be carried over to another request.
func (d *Decision) Single() bool { return d.Method == registry.MethodHMAC || d.proof != nil }

// PassCredential reports whether the upstream may see the credential.
func (d *Decision) PassCredential() bool {
	if d.Method != registry.MethodJWT {
		return false
	}
	return d.passGlobal || d.Consumer != nil && d.Consumer.JWT != nil && d.Consumer.JWT.PassToken
}
