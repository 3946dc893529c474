package admin

import (
	"net/http"
	"strings"

	"keyless/shared/registry"
)

// condition is on which edition of an object a change rests (RFC 9110 §13.1). At most one of the first three is set; none: whatever
// there is.
type condition struct {
	version string // If-Match: that edition
	exists  bool   // If-Match: *
	absent  bool   // If-None-Match: *
	there   bool   // there has to be an object: it is changed or removed
}

// condition reads the headers. Errors are refusals.
func (c *call) condition() (condition, error) {
	matches, noneMatches := c.r.Header.Values("If-Match"), c.r.Header.Values("If-None-Match")
	switch {
	case len(matches)+len(noneMatches) == 0:
		return condition{}, nil
	case len(matches)+len(noneMatches) > 1:
		return condition{}, badRequest("A change has one condition: If-Match or If-None-Match")
	case len(noneMatches) == 1:
		if strings.TrimSpace(noneMatches[0]) != "*" {
			return condition{}, badRequest("If-None-Match of a change is *")
		}
		return condition{absent: true}, nil
	case strings.TrimSpace(matches[0]) == "*":
		return condition{exists: true}, nil
	}
	version := strings.TrimSpace(matches[0])
	inner := strings.TrimSuffix(strings.TrimPrefix(version, `"`), `"`)
	if len(version) < 3 || etag(inner) != version || strings.ContainsAny(inner, `",`) {
		return condition{}, badRequest(`If-Match is * or one version in quotes, as ETag gave it`)
	}
	return condition{version: inner}, nil
}

// must is a condition that has to be there: If-Match, and where the object may be new, If-None-Match.
func (c *call) must(mayBeNew bool) (condition, error) {
	cond, err := c.condition()
	switch {
	case err != nil:
		return cond, err
	case cond == condition{}:
		say := `Say which edition you saw: If-Match: "<version>"`
		if mayBeNew {
			say += "; or If-None-Match: * for a new object"
		}
		return cond, refuse(http.StatusPreconditionRequired, "condition_required", say)
	case cond.absent && !mayBeNew:
		return cond, badRequest("If-None-Match is for a new object")
	}
	cond.there = !mayBeNew
	return cond, nil
}

// holds judges an object of a version, "" being none.
func (c condition) holds(version string) error {
	if c.there && version == "" {
		return registry.ErrNoObject
	}
	if c.absent && version != "" || c.exists && version == "" || c.version != "" && c.version != version {
		return &registry.ConflictError{Current: version}
	}
	return nil
}

func exists() *refusal {
	return refuse(http.StatusConflict, "exists", "There is such an object already; change it, or choose another name")
}

// unchanged reports whether the caller of a GET has this edition.
func (c *call) unchanged(version string) bool {
	for _, list := range c.r.Header.Values("If-None-Match") {
		for tag := range strings.SplitSeq(list, ",") {
			if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == "*" || tag == etag(version) {
				return true
			}
		}
	}
	return false
}
