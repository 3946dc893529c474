package proxy

import (
	"encoding/json"
	"slices"
	"strings"

	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// judgeModel holds a consumer who may name some models only to them. It reads the one member that it judges; what the upstream reads
// is the same, for a body with a second one is refused.
func (c *call) judgeModel() *refusal {
	if c.route.API.Type != registry.LLM || !c.decision.LimitsModels() {
		return nil
	}
	model := ""
	if len(c.body) > 0 {
		members, err := oauth.Object(c.body)
		if err != nil {
			return badRequest("the body is to be one JSON object that names the model once: it is " + err.Error())
		}
		if namesModelTwice(members) {
			return badRequest("the body is to name the model once, in the member model")
		}
		model, _ = oauth.String(members["model"])
	}
	if !c.modelInBody() {
		model = "" // the upstream may read it elsewhere
	}
	if c.decision.ModelAllowed(model) {
		return nil
	}
	return ofDecision(c.decision)
}

// namesModelTwice finds what another reader could take for the model: a member that differs in letter case, or a list of models.
func namesModelTwice(members map[string]json.RawMessage) bool {
	for name := range members {
		if name != "model" && (strings.EqualFold(name, "model") || strings.EqualFold(name, "models")) {
			return true
		}
	}
	return false
}

// modelPaths are the calls, below the API's base path and at most a version, whose model is the one that the body names.
var modelPaths = []string{
	"/chat/completions", "/completions", "/embeddings", "/responses", "/messages", "/messages/count_tokens", "/moderations",
	"/images/generations", "/audio/speech", "/rerank", "/reranks",
}

// modelInBody reports whether the body, and nothing else, says which model runs: not a path such as /deployments/NAME, not the query.
func (c *call) modelInBody() bool {
	return slices.Contains(modelPaths, strings.TrimPrefix(c.below(), "/v1")) &&
		!strings.Contains(strings.ToLower(c.in.URL.RawQuery), "model")
}
