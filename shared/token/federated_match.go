package token

import (
	"encoding/json"
	"strings"

	"keyless/shared/oauth"
)

// matches compares a value with a configured pattern: exactly, but that * stands for any characters except ":", "@" and ",". So
// "repo:acme/*:ref:refs/heads/main" never means a subject with other parts than these, and neither does a workflow's reference behind
// "@" or a distinguished name's attribute behind ",".
func matches(pattern, value string) bool {
	if !strings.Contains(pattern, "*") {
		return pattern == value
	}
	if strings.Map(onlyParts, pattern) != strings.Map(onlyParts, value) {
		return false
	}
	patterns, values := strings.Split(oneSeparator.Replace(pattern), ":"), strings.Split(oneSeparator.Replace(value), ":")
	for i := range patterns {
		if !matchesPart(patterns[i], values[i]) {
			return false
		}
	}
	return true
}

// oneSeparator makes all separators colons, once their order is known to be the same.
var oneSeparator = strings.NewReplacer("@", ":", ",", ":")

// onlyParts drops all but what separates parts.
func onlyParts(r rune) rune {
	if strings.ContainsRune(":@,", r) {
		return r
	}
	return -1
}

// matchesPart compares a part without colon; the first place of each text between stars is as good as any other.
func matchesPart(pattern, value string) bool {
	texts := strings.Split(pattern, "*")
	first, last := texts[0], texts[len(texts)-1]
	if len(texts) == 1 {
		return pattern == value
	}
	if len(value) < len(first)+len(last) || !strings.HasPrefix(value, first) || !strings.HasSuffix(value, last) {
		return false
	}
	rest := value[len(first) : len(value)-len(last)]
	for _, text := range texts[1 : len(texts)-1] {
		at := strings.Index(rest, text)
		if at < 0 {
			return false
		}
		rest = rest[at+len(text):]
	}
	return true
}

// claim finds a claim by its exact name, or by a JSON pointer where the name begins with / (RFC 6901): so that
// "/kubernetes.io/namespace" is the member of the claim kubernetes.io. nil where there is none.
func claim(all map[string]json.RawMessage, name string) json.RawMessage {
	if !strings.HasPrefix(name, "/") {
		return all[name]
	}
	parts := strings.Split(name[1:], "/")
	for i, part := range parts {
		value := all[strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")]
		if i == len(parts)-1 {
			return value
		}
		inner, err := oauth.Object(value)
		if err != nil {
			return nil
		}
		all = inner
	}
	return nil
}
