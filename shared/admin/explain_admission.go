package admin

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// maxListed bounds the names in one sentence: what a line of a terminal shows.
const maxListed = 12

// body holds the body that was told to the API's bound, as the proxy does after the decision.
func (i *inquiry) body() bool {
	most := cmp.Or(i.route.API.BodyMaxBytes, int64(registry.DefaultBodyMaxBytes))
	if i.request.ContentLength <= most {
		return true
	}
	i.step("body", fmt.Sprintf("has %d bytes; API %s takes %d", i.request.ContentLength, i.route.API.Name, most))
	i.refuse(http.StatusRequestEntityTooLarge, "body_too_large", "Request Body Too Large", bodyTooLarge(i))
	return false
}

// model holds a consumer who may name some models only to them, where the body is told.
func (i *inquiry) model() bool {
	if i.route.API.Type != registry.LLM || !i.decision.LimitsModels() {
		return true
	}
	if !i.told {
		i.step("model", "not judged: the question has no body")
		return true
	}
	text, _ := io.ReadAll(i.request.Body)
	name := ""
	if len(text) > 0 {
		members, err := oauth.Object(text)
		if err != nil {
			i.step("model", "cannot be read: the body is "+err.Error())
			i.refuse(http.StatusBadRequest, "bad_request", "the body is to be one JSON object that names the model once",
				"send one JSON object with the member model once")
			return false
		}
		name, _ = oauth.String(members["model"])
	}
	if i.decision.ModelAllowed(name) {
		i.step("model", "one of those that the authorization names")
		return true
	}
	last := i.decision.Trace[len(i.decision.Trace)-1]
	i.step(last.Name, last.Fact)
	look := i.decision.Reason.Refusal()
	i.refuse(look.Status, look.Code, look.Message, i.remedy())
	return false
}

// tool does the same for the tools of an MCP server.
func (i *inquiry) tool() bool {
	if i.route.API.Type != registry.MCP || !i.decision.LimitsTools() {
		return true
	}
	text, _ := io.ReadAll(i.request.Body)
	if len(text) == 0 {
		i.step("tool", "not judged: the question has no body")
		return true
	}
	name, call := toolOf(text)
	if !call {
		i.step("tool", "not a call of one")
		return true
	}
	if i.decision.ToolAllowed(name) {
		i.step("tool", "one of those that the authorization names")
		return true
	}
	last := i.decision.Trace[len(i.decision.Trace)-1]
	i.step(last.Name, last.Fact)
	look := i.decision.Reason.Refusal()
	i.refuse(look.Status, look.Code, look.Message, i.remedy())
	return false
}

// toolOf reads which tool an MCP message calls.
func toolOf(text []byte) (string, bool) {
	message, err := oauth.Object(text)
	if err != nil {
		return "", false
	}
	if method, _ := oauth.String(message["method"]); method != "tools/call" {
		return "", false
	}
	params, err := oauth.Object(message["params"])
	if err != nil {
		return "", true
	}
	name, _ := oauth.String(params["name"])
	return name, true
}

// revoked asks whether the token was revoked, as the admission does.
func (i *inquiry) revoked(ctx context.Context) (bool, error) {
	if i.o.Revocations == nil || i.decision.Revocation == "" {
		return false, nil
	}
	list, err := i.o.Revocations.Revoked(ctx, i.decision.Revocation)
	if err != nil {
		return false, fmt.Errorf("look for a revocation: %w", err)
	}
	if len(list) == 1 && !list[0] {
		return false, nil
	}
	i.decision.Revoke()
	last := i.decision.Trace[len(i.decision.Trace)-1]
	i.step(last.Name, last.Fact)
	look := i.decision.Reason.Refusal()
	i.refuse(look.Status, look.Code, look.Message, i.remedy())
	return true, nil
}

// admission lists the limits that the call would be counted under. None is looked up, and nothing is counted.
func (i *inquiry) admission() {
	var under []string
	add := func(subject string, l *registry.Limits, besides ...string) {
		if text := limits(l, besides...); text != "" {
			under = append(under, subject+" "+text)
		}
	}
	domain, api := i.route.Domain, i.route.API
	add("domain "+domain.Name, &registry.Limits{CallsPerDay: domain.CallsPerDay()})
	var atOnce []string
	if api.Concurrency > 0 {
		atOnce = append(atOnce, fmt.Sprintf("%d calls at once", api.Concurrency))
	}
	add("API "+api.Name, api.Limits, atOnce...)
	if c := i.decision.Consumer; c != nil {
		for _, name := range c.Groups {
			if g := i.view.Groups[name]; g != nil {
				add("group "+name, g.Limits)
			}
		}
		add("consumer "+c.Name, c.Limits)
	}
	if len(under) == 0 {
		i.step("admission", "no limits")
		return
	}
	i.step("admission", "under the limits of "+strings.Join(under, ", ")+"; explain neither looks them up nor counts")
}

// nearAPIs says which API the path was probably meant for.
func (i *inquiry) nearAPIs() string {
	var near, paths []string
	for _, name := range slices.Sorted(maps.Keys(i.view.APIs)) {
		a := i.view.APIs[name]
		on := len(a.Domains) == 0 || slices.Contains(a.Domains, i.route.Domain.Name)
		switch {
		case on && a.Published():
			paths = append(paths, a.BasePath)
		case !registry.Under(i.route.Path, a.BasePath):
		case !a.Published():
			near = append(near, "publish API "+name+", which is a draft")
		default:
			near = append(near, "call API "+name+" on its domain "+strings.Join(a.Domains, " or ")+", or add "+i.route.Domain.Name+" to its domains")
		}
	}
	if segments := strings.SplitN(i.route.Path, "/", 4); len(segments) > 2 && segments[2] == "oauth2" && i.view.Instances[segments[1]] != nil {
		near = append(near, "this is an endpoint of instance "+segments[1]+", which explain does not judge: it answers at the public URL")
	}
	if len(near) > 0 {
		return strings.Join(near, "; or ")
	}
	if len(paths) > maxListed {
		paths = append(paths[:maxListed], "…")
	}
	if len(paths) == 0 {
		return "add an API on domain " + i.route.Domain.Name + ": it has none"
	}
	return "call a path under one of the base paths on domain " + i.route.Domain.Name + ": " + strings.Join(paths, ", ") + "; or add an API"
}
