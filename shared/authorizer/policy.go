package authorizer

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-lambda-go/events"

	"keyless/shared/auth"
	"keyless/shared/registry"
)

// Bounds of a policy.
const (
	// maxResource is API Gateway's own bound on the ARN in a statement, in characters.
	maxResource = 512
	// maxJudged bounds the APIs that one question judges: a policy has room for not many more.
	maxJudged = 32
)

// methods are all that a REST API knows. They are listed one by one, since "*" in an ARN does not stop at a
// slash: stage/*/v1 would match stage/GET/other/v1 too.
var methods = []string{"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}

// judged is what becomes of calls to one API with the credential that was asked about.
type judged struct {
	base    string // base path without a slash at its end
	allowed bool
	unknown bool // not judged: over maxJudged
}

// judgeAll judges every published API of the domain by the credential alone, so that a gateway which
// remembers the policy judges the next path by it as well. The one that was asked for stands first. Where an
// API cannot be judged, its calls are denied: the next question is about that API itself and gets the
// failure.
func (a *Authorizer) judgeAll(
	ctx context.Context, v registry.View, r *http.Request, route registry.Route, ruled *ruling,
) []judged {
	var list []judged
	if route.API != nil {
		list = append(list, judged{base: base(route.API), allowed: ruled.allowed()})
	}
	if ruled.single {
		return list
	}
	for _, api := range apisOf(v.Snapshot, route.Domain) {
		switch {
		case api == route.API:
		case len(list) >= maxJudged:
			list = append(list, judged{base: base(api), unknown: true})
		default:
			decision, err := a.gate.Decide(ctx, v, r, api)
			if err == nil && decision.Revocation != ruled.decision.Revocation {
				err = a.unrevoked(ctx, &decision)
			}
			if err != nil {
				a.log.LogAttrs(ctx, slog.LevelWarn, "an API is denied in a policy because it cannot be judged",
					slog.String("request_id", ruled.requestID), slog.String("api", api.Name),
					slog.String("cause", err.Error()))
			}
			allowed := err == nil && decision.Allowed && !single(v, &decision)
			list = append(list, judged{base: base(api), allowed: allowed})
		}
	}
	return list
}

// single reports whether a decision holds for the one request alone, so that no policy may carry it over to
// another path: a signature covers the path, a DPoP proof the URL, and global authentication asks for a token by
// the path.
func single(v registry.View, d *auth.Decision) bool {
	asked := d.API.Open() && v.Global != nil && v.Global.Status.On()
	return d.Single() || asked && d.Method == ""
}

func base(api *registry.API) string { return strings.TrimSuffix(api.BasePath, "/") }

// apisOf lists the published APIs of a domain by base path.
func apisOf(s *registry.Snapshot, d *registry.Domain) []*registry.API {
	var list []*registry.API
	for _, api := range s.APIs {
		if api.Published() && (len(api.Domains) == 0 || slices.Contains(api.Domains, d.Name)) {
			list = append(list, api)
		}
	}
	slices.SortFunc(list, func(a, b *registry.API) int { return strings.Compare(a.BasePath, b.BasePath) })
	return list
}

// methodARN is arn:aws:execute-api:<region>:<account>:<API id>/<stage>/<method>/<path>, taken apart.
type methodARN struct {
	stage  string // up to and with the stage
	method string
	path   string // with its slash
	host   string // the API's own domain name
}

func parseARN(text string) (methodARN, bool) {
	parts := strings.SplitN(text, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != "execute-api" {
		return methodARN{}, false
	}
	resource := strings.SplitN(parts[5], "/", 4)
	if len(resource) < 3 || resource[0] == "" || resource[1] == "" {
		return methodARN{}, false
	}
	arn := methodARN{
		stage:  strings.Join(parts[:5], ":") + ":" + resource[0] + "/" + resource[1],
		method: resource[2], path: "/",
		host: resource[0] + ".execute-api." + parts[3] + ".amazonaws.com",
	}
	if parts[1] == "aws-cn" {
		arn.host += ".cn"
	}
	if len(resource) == 4 {
		arn.path += resource[3]
	}
	return arn, true
}

// mapping is the base path under which a custom domain maps the API: it stands in a request's path, not in
// its ARN.
func (arn methodARN) mapping(r *http.Request) string {
	path := strings.TrimSuffix(r.URL.EscapedPath(), "/")
	before, ok := strings.CutSuffix(path, strings.TrimSuffix(arn.path, "/"))
	if !ok {
		return ""
	}
	return before
}

// policy says what of the list IAM can say. Where there is nothing to say, it denies the whole stage.
func policy(arn methodARN, mapping string, list []judged) events.APIGatewayCustomAuthorizerPolicy {
	allow, deny := express(mapped(list, mapping), arn.sayable)
	if len(allow)+len(deny) == 0 {
		return document(nil, []string{arn.stage + "/*"})
	}
	return document(arn.resources(allow), arn.resources(deny))
}

// one is the policy of a ruling that holds for one request: its method, its path, and no other.
func (arn methodARN) one() events.APIGatewayCustomAuthorizerPolicy {
	if !arn.sayable(arn.path) || strings.ContainsAny(arn.method, "*?$") {
		return document(nil, []string{arn.stage + "/*"})
	}
	return document([]string{arn.stage + "/" + arn.method + arn.path}, nil)
}

// mapped takes the mapping off the base paths, and leaves out the APIs that are not reached through it.
func mapped(list []judged, mapping string) []judged {
	if mapping == "" {
		return list
	}
	var reached []judged
	for _, j := range list {
		switch {
		case within(mapping, j.base):
			j.base = ""
		case within(j.base, mapping):
			j.base = strings.TrimPrefix(j.base, mapping)
		default:
			continue
		}
		reached = append(reached, j)
	}
	return reached
}

// express parts the list into base paths to allow and to deny, so that for the API that was asked for the
// outcome is the ruling, and for every other one the ruling or a denial. In IAM a denial of /a holds for all
// below it, even where /a/b is allowed; what is not mentioned is denied too. So a denied API with an allowed
// one within is passed over in silence; where it also stands within an allowed one, so that silence would
// allow it, one of the two allowed ones has to go. What cannot be said takes what it stands within along.
func express(list []judged, sayable func(base string) bool) (allow, deny []string) {
	for _, j := range list {
		if j.allowed && sayable(j.base) {
			allow = append(allow, j.base)
		}
	}
	for _, j := range list {
		if j.allowed {
			continue
		}
		holds := func(a string) bool { return within(a, j.base) }
		outer := func(a string) bool { return within(j.base, a) }
		silent := !slices.ContainsFunc(allow, outer)
		switch {
		case silent && (j.unknown || !sayable(j.base) || slices.ContainsFunc(allow, holds)):
		case !silent && (!sayable(j.base) || list[0].allowed && within(list[0].base, j.base)):
			allow = slices.DeleteFunc(allow, outer)
		default:
			deny = append(deny, j.base)
		}
	}
	return allow, deny
}

// within reports whether a path stands at or below base, by whole segments; both are without a slash at the
// end.
func within(path, base string) bool {
	return strings.HasPrefix(path, base) && (len(path) == len(base) || path[len(base)] == '/')
}

// sayable reports whether a base path fits into an ARN as it is: no longer than API Gateway takes, and
// without a character that is a wildcard there.
func (arn methodARN) sayable(base string) bool {
	return len(arn.stage)+len("/OPTIONS")+len(base)+len("/*") <= maxResource && !strings.ContainsAny(base, "*?$")
}

// resources are the ARNs of base paths and of all below them.
func (arn methodARN) resources(bases []string) []string {
	var list []string
	for _, base := range bases {
		for _, method := range methods {
			root := arn.stage + "/" + method + base
			if base == "" {
				list = append(list, root+"/", root+"/*")
				continue
			}
			list = append(list, root, root+"/*")
		}
	}
	return list
}

func document(allow, deny []string) events.APIGatewayCustomAuthorizerPolicy {
	p := events.APIGatewayCustomAuthorizerPolicy{Version: "2012-10-17"}
	for _, s := range []struct {
		effect    string
		resources []string
	}{{"Allow", allow}, {"Deny", deny}} {
		if len(s.resources) > 0 {
			p.Statement = append(p.Statement, events.IAMPolicyStatement{
				Action: []string{"execute-api:Invoke"}, Effect: s.effect, Resource: s.resources,
			})
		}
	}
	return p
}
