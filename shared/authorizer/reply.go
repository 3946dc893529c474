package authorizer

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
)

const (
	// anonymous is the principal of a call that names nobody: an open API, or a refusal.
	anonymous = "anonymous"
	// maxContextValue bounds a context value, in bytes: it becomes a header at the user's backend. A longer
	// subject is left out, never cut: half a name is another name.
	maxContextValue = 512
)

// policyReply answers a REST API. The policy is a function of the credential, the domain and the registry;
// where the credential proves one request alone, of that request too.
func policyReply(arn methodARN, r *http.Request, ruled *ruling) events.APIGatewayCustomAuthorizerResponse {
	mapping := ""
	if r != nil {
		mapping = arn.mapping(r)
	}
	document := policy(arn, mapping, ruled.judged)
	if ruled.allowed() && ruled.single {
		document = arn.one()
	}
	return events.APIGatewayCustomAuthorizerResponse{
		PrincipalID:    principal(ruled),
		PolicyDocument: document,
		Context:        contextOf(ruled),
	}
}

// simpleReply answers an HTTP API.
func simpleReply(ruled *ruling) events.APIGatewayV2CustomAuthorizerSimpleResponse {
	return events.APIGatewayV2CustomAuthorizerSimpleResponse{
		IsAuthorized: ruled.allowed(), Context: contextOf(ruled),
	}
}

func principal(ruled *ruling) string {
	if ruled.allowed() && ruled.decision.Consumer != nil {
		return ruled.decision.Consumer.Name
	}
	return anonymous
}

// contextOf is what the user's integration may pass on: strings, always the same names, identity on allow
// only. A header that claims are mapped to has its name in lower case with "_" for "-", and never ours.
func contextOf(ruled *ruling) map[string]any {
	told := map[string]any{}
	for _, name := range ruled.mapped {
		told[contextName(name)] = ""
	}
	if ruled.allowed() {
		for _, header := range ruled.decision.Headers {
			told[contextName(header.Name)] = bounded(header.Value)
		}
	}
	maps.Copy(told, map[string]any{
		"consumer": "", "method": "", "subject": "", "client_id": "", "content_md5": "",
		"request_id": ruled.requestID, "code": codeOf(ruled),
	})
	if d := &ruled.decision; ruled.allowed() {
		if d.Consumer != nil {
			told["consumer"] = d.Consumer.Name
		}
		told["method"] = d.Method
		told["subject"] = bounded(d.Subject)
		told["client_id"] = bounded(d.ClientID)
		told["content_md5"] = ruled.contentMD5
	}
	return told
}

func contextName(header string) string {
	return strings.ReplaceAll(strings.ToLower(header), "-", "_")
}

func bounded(value string) string {
	if len(value) > maxContextValue {
		return ""
	}
	return value
}

func codeOf(ruled *ruling) string {
	if ruled.allowed() {
		return codeAllowed
	}
	return ruled.refusal.code
}

// line writes the log line of an event, as accesslog does for a request.
func (a *Authorizer) line(
	ctx context.Context, e event, id string, ruled ruling, err error, took time.Duration,
) {
	attrs := []slog.Attr{
		slog.String("event", e.Type), slog.String("version", e.Version), slog.String("request_id", id),
		slog.Float64("duration_ms", float64(took.Microseconds())/1000),
	}
	if err != nil {
		a.log.LogAttrs(ctx, slog.LevelError, "authorization", append(attrs,
			slog.String("code", failure(err).code), slog.String("cause", err.Error()))...)
		return
	}
	a.log.LogAttrs(ctx, slog.LevelInfo, "authorization", append(attrs, facts(&ruled)...)...)
}

// facts are what a log line tells of a ruling.
func facts(ruled *ruling) []slog.Attr {
	attrs := []slog.Attr{slog.String("code", codeOf(ruled))}
	if d := &ruled.decision; d.API != nil {
		attrs = append(attrs, slog.String("api", d.API.Name))
		if d.Consumer != nil {
			attrs = append(attrs, slog.String("consumer", d.Consumer.Name))
		}
	}
	return attrs
}
