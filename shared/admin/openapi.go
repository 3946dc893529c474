package admin

import (
	"net/http"
	"reflect"
	"strconv"
	"strings"
)

// getDocument answers the OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.0), made of the table of routes and the types that
// they take and give.
func getDocument(a *Admin, _ *call) (reply, error) { return reply{body: a.document()}, nil }

type members = map[string]any

func (a *Admin) document() members {
	s := &schemas{named: members{}, types: map[string]reflect.Type{}}
	paths := map[string]members{}
	for _, r := range a.routes {
		if paths[r.pattern] == nil {
			paths[r.pattern] = members{}
		}
		paths[r.pattern][strings.ToLower(r.method)] = r.operation(s)
	}
	problem := s.of(Problem{})
	return members{
		"openapi": "3.1.0",
		"info": members{
			"title": "Keyless Gateway admin API", "version": "1",
			"description": "Reads and changes the registry. Secrets are never answered but where they are generated or shown; one that is " +
				"set reads [kept], and sent back so it stays as it is.",
		},
		"servers":  []any{members{"url": a.o.PublicURL + Prefix}},
		"security": []any{members{"bearer": []any{}}},
		"paths":    paths,
		"components": members{
			"securitySchemes": members{"bearer": members{
				"type": "http", "scheme": "bearer", "description": "The admin token, or an access token for keyless:admin",
			}},
			"schemas": s.named,
			"responses": members{"problem": members{
				"description": "Refused or failed (RFC 9457)", "content": members{"application/problem+json": members{"schema": problem}},
			}},
		},
	}
}

// operation is what the document says of a route.
func (r route) operation(s *schemas) members {
	o := members{
		"operationId": r.id(), "summary": r.doc.says, "tags": []any{strings.Split(r.pattern, "/")[1]},
		"responses": members{
			strconv.Itoa(r.success()): r.answer(s), "default": members{"$ref": "#/components/responses/problem"},
		},
	}
	if r.right != "" {
		o["x-right"] = r.right
	}
	if parameters := r.described(); len(parameters) > 0 {
		o["parameters"] = parameters
	}
	if r.doc.takes != nil {
		kind, schema := "application/json", s.of(r.doc.takes)
		if r.method == http.MethodPatch {
			kind, schema = mergePatch, members{"type": "object", "description": "Members to change; null removes one"}
		}
		o["requestBody"] = members{"content": members{kind: members{"schema": schema}}, "required": r.method != http.MethodPost}
	}
	return o
}

// answer is what the document says of success.
func (r route) answer(s *schemas) members {
	if r.doc.gives == nil {
		return members{"description": "Done"}
	}
	schema := s.of(r.doc.gives)
	if !r.doc.plain {
		more := members{"version": members{"type": "string"}}
		if r.doc.shows {
			more["generated"] = members{"type": "array", "description": "Shown this once", "items": members{"type": "object"}}
		}
		schema = members{"allOf": []any{schema, members{"type": "object", "properties": more}}}
	}
	if r.doc.list {
		schema = members{"type": "object", "required": []any{"items", "next"}, "properties": members{
			"items": members{"type": "array", "items": schema}, "next": members{"type": "string"},
		}}
	}
	answer := members{"description": r.doc.says, "content": members{"application/json": members{"schema": schema}}}
	if !r.doc.plain && !r.doc.list {
		answer["headers"] = members{"ETag": members{"schema": members{"type": "string"}}}
	}
	return answer
}

func (r route) described() []any {
	var list []any
	parameter := func(in, name string, required bool) {
		list = append(list, members{"in": in, "name": name, "required": required, "schema": members{"type": "string"}})
	}
	for part := range strings.SplitSeq(r.pattern, "/") {
		if name, is := variable(part); is {
			parameter("path", name, true)
		}
	}
	for _, name := range r.doc.query {
		parameter("query", name, false)
	}
	switch {
	case r.doc.condition == conditionMust && r.method == http.MethodPut: // one of the two
		parameter("header", "If-Match", false)
		parameter("header", "If-None-Match", false)
	case r.doc.condition != "":
		parameter("header", "If-Match", r.doc.condition == conditionMust)
	}
	return list
}
