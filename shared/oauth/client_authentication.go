package oauth

// How a client authenticates at the token endpoint: the names of RFC 7591 §2 and RFC 8705 §2.
const (
	ClientSecretJWT         = "client_secret_jwt"
	PrivateKeyJWT           = "private_key_jwt"
	TLSClientAuth           = "tls_client_auth"
	SelfSignedTLSClientAuth = "self_signed_tls_client_auth"

	// FederatedIdentity is our own word, and no name of a registry: the client proves itself by an identity that
	// somebody else issued. On the wire it is an assertion of RFC 7521 §4.2 or one of Alibaba IDaaS.
	FederatedIdentity = "federated"
)

// The values of client_assertion_type: RFC 7523 §2.2, and those of Alibaba IDaaS.
const (
	AssertionJWT     = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	AssertionIDToken = "urn:cloud:idaas:params:oauth:client-assertion-type:id-token-bearer"
	AssertionPKCS7   = "urn:cloud:idaas:params:oauth:client-assertion-type:pkcs7-bearer"
	AssertionX509    = "urn:cloud:idaas:params:oauth:client-assertion-type:x509-jwt-bearer"
)

// TypeClientAssertion is the typ that a client may give its assertion (draft-ietf-oauth-rfc7523bis §4).
const TypeClientAssertion = "client-authentication+jwt"

// ClientAuthenticationMethods are the ones that the token endpoint takes, as its metadata says it
// (token_endpoint_auth_methods_supported, RFC 8414 §2). Federated identities have no name there.
var ClientAuthenticationMethods = []string{
	ClientSecretBasic, ClientSecretPost, ClientSecretJWT, PrivateKeyJWT, TLSClientAuth, SelfSignedTLSClientAuth,
}

// AssertionAlgorithms are those of client_secret_jwt and private_key_jwt, as the token endpoint's metadata says it
// (token_endpoint_auth_signing_alg_values_supported, RFC 8414 §2).
var AssertionAlgorithms = append([]string{AssertionSecretAlgorithm}, SigningAlgorithms...)

// AssertionSecretAlgorithm is the one algorithm of client_secret_jwt.
const AssertionSecretAlgorithm = "HS256"

// Confirmation binds an access token to a key that its bearer must prove to hold: cnf (RFC 7800 §3.1).
type Confirmation struct {
	Certificate string `json:"x5t#S256,omitempty"` // base64url SHA-256 of the DER, RFC 8705 §3.1
	Key         string `json:"jkt,omitempty"`      // thumbprint of a DPoP key, RFC 9449 §6.1
}
