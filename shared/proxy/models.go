package proxy

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"keyless/shared/registry"
)

// maxModels bounds an upstream's list of models that is read: the longest known has some hundred kilobytes.
const maxModels = 4 << 20

// asksModels reports whether the call asks an LLM API for its models.
func (c *call) asksModels() bool {
	return c.route.API.Type == registry.LLM && c.in.Method == http.MethodGet &&
		strings.TrimPrefix(c.below(), "/v1") == "/models"
}

// listModels answers from the names that the targets' maps give, as far as this caller may call them. Where a target takes any model
// its upstream is asked for its list, of which the caller sees what it may call: c.lists says so, unless that is all of it.
func (c *call) listModels() {
	names, closed := map[string]bool{}, true
	for _, t := range c.route.API.Upstreams {
		closed = closed && !takesAny(t)
		for name := range t.Models {
			if !strings.Contains(name, anyModel) {
				names[name] = true
			}
		}
	}
	for _, name := range c.authorizedNames() {
		if slices.ContainsFunc(c.route.API.Upstreams, func(t registry.Target) bool {
			_, served := modelAt(t.Models, name)
			return served
		}) {
			names[name] = true
		}
	}
	c.named = slices.DeleteFunc(slices.Sorted(maps.Keys(names)), func(name string) bool { return !c.mayCall(name) })
	c.lists = !closed && (len(names) > 0 || c.decision.LimitsModels())
	if closed {
		c.ours, c.reply = true, c.modelList(nil, nil)
	}
}

// authorizedNames are the models that the caller's authorization names in full.
func (c *call) authorizedNames() []string {
	if c.decision.Consumer == nil {
		return nil
	}
	var names []string
	for _, a := range c.decision.Consumer.Authorizations {
		if a.API == c.route.API.Name {
			names = append(names, a.Models...)
		}
	}
	return slices.DeleteFunc(names, func(name string) bool { return strings.Contains(name, anyModel) })
}

// mayCall judges on a copy: the decision itself stays as it is.
func (c *call) mayCall(model string) bool {
	judged := c.decision
	judged.Trace = slices.Clone(judged.Trace)
	return judged.ModelAllowed(model)
}

// The shapes of a list of models.
type (
	modelPage struct {
		Object  string            `json:"object,omitempty"`
		Data    []json.RawMessage `json:"data"`
		HasMore *bool             `json:"has_more,omitempty"`
		FirstID *string           `json:"first_id,omitempty"`
		LastID  *string           `json:"last_id,omitempty"`
	}
	openAIModel struct {
		ID      string `json:"id"`
		Object  string `json:"object"`
		Created int64  `json:"created"`
		OwnedBy string `json:"owned_by"`
	}
	anthropicModel struct {
		Type        string `json:"type"`
		ID          string `json:"id"`
		DisplayName string `json:"display_name"`
		CreatedAt   string `json:"created_at"`
	}
)

// asAnthropic reports whether the caller expects Anthropic's shape: its clients name the version of its API.
func (c *call) asAnthropic() bool { return c.in.Header.Get("Anthropic-Version") != "" }

// modelList writes the models that have names, and behind them those of an upstream that were found.
func (c *call) modelList(found []json.RawMessage, ids []string) []byte {
	page := modelPage{Object: "list", Data: []json.RawMessage{}}
	for _, name := range c.named {
		if !slices.Contains(ids, name) {
			page.Data = append(page.Data, c.model(name))
		}
	}
	page.Data = append(page.Data, found...)
	if c.asAnthropic() {
		more, first, last := false, "", ""
		all := append(slices.DeleteFunc(slices.Clone(c.named), func(n string) bool { return slices.Contains(ids, n) }), ids...)
		if len(all) > 0 {
			first, last = all[0], all[len(all)-1]
		}
		page.Object, page.HasMore, page.FirstID, page.LastID = "", &more, &first, &last
	}
	text, _ := json.Marshal(page) // what is raw in it was read as JSON
	return text
}

func (c *call) model(name string) json.RawMessage {
	var shape any = openAIModel{name, "model", 0, c.route.API.Name}
	if c.asAnthropic() {
		shape = anthropicModel{"model", name, name, "1970-01-01T00:00:00Z"}
	}
	text, _ := json.Marshal(shape)
	return text
}

// relayModels passes an upstream's list of models on, without those that the caller may not call.
func (p *proxy) relayModels(c *call, x *exchange) {
	x.watch.Reset(x.idle)
	body, err := io.ReadAll(io.LimitReader(&watched{x}, maxModels+1))
	x.watch.Stop()
	var page struct {
		Data []json.RawMessage `json:"data"`
	}
	if err != nil || len(body) > maxModels || json.Unmarshal(body, &page) != nil || page.Data == nil {
		c.refuse(upstreamBroken)
		return
	}
	native := (x.upstream.Protocol == registry.Anthropic) == c.asAnthropic()
	var found []json.RawMessage
	var ids []string
	for _, one := range page.Data {
		var model struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(one, &model) != nil || !c.mayCall(model.ID) {
			continue
		}
		if !native {
			one = c.model(model.ID)
		}
		found, ids = append(found, one), append(ids, model.ID)
	}
	c.reply = c.modelList(found, ids)
	c.answerHeader(x, p.Now())
	c.end = c.endOf(x, nil)
	c.answer()
}

// answer sends an answer of ours.
func (c *call) answer() {
	h := c.w.Header()
	if len(c.reply) == 0 {
		c.begin(http.StatusNoContent)
		return
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(c.reply)))
	c.begin(http.StatusOK)
	_, _ = c.w.Write(c.reply)
}
