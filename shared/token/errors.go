package token

import (
	"net/http"

	"keyless/shared/oauth"
)

// reason is why there is no token. The list is closed; each has an entry in answers.
type reason string

const (
	none reason = ""

	noSuchPath     reason = "no_such_path"
	noSuchInstance reason = "no_such_instance"
	notPost        reason = "not_post"

	notForm        reason = "not_form"
	tooLarge       reason = "too_large"
	unreadable     reason = "unreadable"
	malformed      reason = "malformed"
	sentTwice      reason = "sent_twice"
	secretInQuery  reason = "secret_in_query"
	noGrantType    reason = "no_grant_type"
	otherGrantType reason = "other_grant_type"

	noProof         reason = "no_client_authentication"
	manyProofs      reason = "many_client_authentications"
	badAssertion    reason = "bad_assertion"
	otherAssertion  reason = "other_assertion_type"
	noClientID      reason = "no_client_id"
	throttled       reason = "throttled"
	clientDiffers   reason = "client_id_differs"
	badClient       reason = "bad_client"
	m2mDisabled     reason = "m2m_disabled"
	malformedScope  reason = "malformed_scope"
	unknownScope    reason = "scope_not_granted"
	nothingGranted  reason = "nothing_granted"
	ambiguousScope  reason = "ambiguous_scope"
	severalServers  reason = "several_resource_servers"
	malformedTarget reason = "malformed_resource"
	unknownTarget   reason = "resource_not_granted"
	severalTargets  reason = "several_resources"
	ambiguousTarget reason = "resource_needed"

	noToken          reason = "no_token"
	othersToken      reason = "token_of_another_client"
	tooManyQuestions reason = "too_many_introspections"

	noExchange      reason = "token_exchange_not_allowed"
	noSubjectToken  reason = "no_subject_token"
	otherTokenType  reason = "other_token_type"
	otherWantedType reason = "other_requested_token_type"
	badActorPair    reason = "actor_token_without_type"
	badSubject      reason = "bad_subject_token"
	badActor        reason = "bad_actor_token"
	mayNotAct       reason = "may_not_act"
	manyActors      reason = "too_many_actors"

	badDPoP    reason = "bad_dpop_proof"
	needsProof reason = "dpop_proof_needed"
	wantsNonce reason = "dpop_nonce_needed"
	dpopOff    reason = "dpop_off"

	unavailable reason = "unavailable"
	tooLong     reason = "token_too_long"
)

// answer is what the caller sees. Sentences keep to %x20-21 / %x23-5B / %x5D-7E (RFC 6749 §5.2), and say what
// to do instead.
type answer struct {
	status   int
	code     string
	sentence string
}

// codeNotFound is no code of the RFCs: it tells a wrong URL from a refusal by an endpoint that exists.
const codeNotFound = "not_found"

// retryAfter is in seconds: a store that changes over is back within it.
const retryAfter = "1"

func refusal(code, sentence string) answer {
	e := oauth.Refuse(code, sentence)
	return answer{e.Status, e.Code, e.Description}
}

var answers = map[reason]answer{
	noSuchPath: {http.StatusNotFound, codeNotFound,
		"Nothing is here. The token endpoint is POST /{instance}/oauth2/token; beside it are introspect and revoke."},
	noSuchInstance: {http.StatusNotFound, codeNotFound, "There is no instance of this name."},
	notPost:        {http.StatusMethodNotAllowed, oauth.InvalidRequest, "This endpoint takes POST only."},

	notForm: refusal(oauth.InvalidRequest,
		"The body must be of type application/x-www-form-urlencoded, in UTF-8."),
	tooLarge: {http.StatusRequestEntityTooLarge, oauth.InvalidRequest,
		"The body is larger than 8 KiB, or 64 KiB with a client_assertion or a token."},
	unreadable: refusal(oauth.InvalidRequest, "The body could not be read to its end."),
	malformed:  refusal(oauth.InvalidRequest, "The body is not form-encoded UTF-8."),
	sentTwice: refusal(oauth.InvalidRequest,
		"A parameter was sent twice. Only resource and audience may be repeated."),
	secretInQuery: refusal(oauth.InvalidRequest,
		"A credential was sent in the URL, where it ends in logs. Send it in Authorization or in the body, "+
			"and replace it."),
	noGrantType: refusal(oauth.InvalidRequest,
		"The parameter grant_type is missing. Send client_credentials."),
	otherGrantType: refusal(oauth.UnsupportedGrantType,
		"The grant types here are client_credentials and "+oauth.GrantTokenExchange+"."),

	noProof: refusal(oauth.InvalidClient,
		"The client did not authenticate. Send client_id and client_secret in Authorization: Basic or in "+
			"the body, or a client_assertion, or client_id over mutual TLS."),
	manyProofs: refusal(oauth.InvalidRequest,
		"The client authenticated in more than one way. Send its credential once."),
	badAssertion: refusal(oauth.InvalidRequest,
		"client_assertion and client_assertion_type belong together; one of them is missing."),
	otherAssertion: refusal(oauth.InvalidRequest,
		"The client_assertion_type is not one that is taken. Send "+oauth.AssertionJWT+"."),
	noClientID: refusal(oauth.InvalidRequest,
		"The client_id is missing. An identity token does not say which client it proves."),
	throttled: {http.StatusTooManyRequests, oauth.TemporarilyUnavailable,
		"Client authentication failed too often. Try again later."},
	clientDiffers: refusal(oauth.InvalidRequest,
		"The client_id in the body is not the client that authenticated."),
	badClient: refusal(oauth.InvalidClient, "Client authentication failed."),
	m2mDisabled: refusal(oauth.UnauthorizedClient,
		"This instance issues no tokens to machines at present: M2M is disabled."),

	malformedScope: refusal(oauth.InvalidScope,
		"The scope is not a list of at most 64 scope tokens separated by one space."),
	unknownScope: refusal(oauth.InvalidScope, "A scope that was asked for is not granted to the client."),
	nothingGranted: refusal(oauth.InvalidScope,
		"No scope of an enabled resource server is granted to the client."),
	ambiguousScope: refusal(oauth.InvalidScope,
		"Several resource servers offer this scope. Name one by resource, audience or identifier|scope."),
	severalServers: refusal(oauth.InvalidScope,
		"The scopes belong to several resource servers. Ask for one token for each."),
	malformedTarget: refusal(oauth.InvalidTarget, "The resource is not an absolute URI without fragment."),
	unknownTarget: refusal(oauth.InvalidTarget,
		"The resource server is unknown, disabled or not granted to the client."),
	severalTargets: refusal(oauth.InvalidTarget,
		"Several resource servers were named. Ask for one token for each."),
	ambiguousTarget: refusal(oauth.InvalidTarget,
		"The client may use several resource servers. Name one by resource, audience or scope."),

	noToken: refusal(oauth.InvalidRequest, "The parameter token is missing."),
	othersToken: refusal(oauth.UnauthorizedClient,
		"The token was issued to another client, and only that one can revoke it."),
	tooManyQuestions: {http.StatusTooManyRequests, oauth.TemporarilyUnavailable,
		"The client asks too often. Remember an answer for some seconds."},

	noExchange: refusal(oauth.UnauthorizedClient,
		"The client may not exchange tokens. Its entry token_exchange says whose tokens it may."),
	noSubjectToken: refusal(oauth.InvalidRequest, "subject_token and subject_token_type are needed; one is missing."),
	otherTokenType: refusal(oauth.InvalidRequest,
		"The subject_token_type or actor_token_type is not one that is taken. Send "+oauth.TokenTypeJWT+
			", or the same with access_token or id_token."),
	otherWantedType: refusal(oauth.InvalidRequest,
		"The requested_token_type is not one that is issued. Send "+oauth.TokenTypeAccessToken+", or nothing."),
	badActorPair: refusal(oauth.InvalidRequest,
		"actor_token and actor_token_type belong together; one of them is missing."),
	badSubject: refusal(oauth.InvalidRequest, "The subject_token is not one that this client may exchange."),
	badActor:   refusal(oauth.InvalidRequest, "The actor_token is not one that this client may act by."),
	mayNotAct:  refusal(oauth.InvalidRequest, "The subject_token says by may_act that somebody else may act."),
	manyActors: refusal(oauth.InvalidRequest, "The subject_token has passed through too many actors."),

	badDPoP: refusal(oauth.InvalidDPoPProof,
		"The DPoP proof is malformed, not for this request, not of now, not signed by its key, or was used before."),
	needsProof: refusal(oauth.InvalidDPoPProof, "This client gets bound tokens only. Send a proof in the header DPoP."),
	wantsNonce: refusal(oauth.UseDPoPNonce,
		"The DPoP proof must hold the nonce of the header DPoP-Nonce. Make another proof with it."),
	dpopOff: refusal(oauth.InvalidRequest,
		"This client gets bearer tokens only: its entry dpop is off. Leave the header DPoP out."),

	unavailable: refusal(oauth.TemporarilyUnavailable, "This cannot be answered at present. Try again later."),
	tooLong: refusal(oauth.ServerError,
		"The token would be longer than 8 KiB. Ask for fewer scopes, or tell the operator."),
}
