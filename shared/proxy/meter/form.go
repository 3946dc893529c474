package meter

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"slices"
	"strings"
)

const (
	// maxParts is more than any form of these calls has.
	maxParts = 256
	// maxField is read of a field that decides something.
	maxField = 256
)

// readForm reads a multipart form. Files go by at their size, and only the short fields that decide are
// looked at.
func readForm(ask Ask, boundary string, body []byte) (filled Ask, refusal string) {
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	fields := map[string]string{}
	for range maxParts {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return fromFields(ask, fields, body)
		}
		if err != nil {
			return ask, badForm
		}
		name := part.FormName()
		if strings.HasPrefix(name, "image") || name == "mask" {
			ask.Pictures++
		}
		if !slices.Contains([]string{"model", "stream", "n"}, strings.ToLower(name)) {
			continue
		}
		if _, known := fields[name]; known || name != strings.ToLower(name) {
			return ask, twice(strings.ToLower(name)).sentence
		}
		value, err := io.ReadAll(io.LimitReader(part, maxField+1))
		if err != nil || len(value) > maxField {
			return ask, badForm
		}
		fields[name] = string(value)
	}
	return ask, badForm
}

func fromFields(ask Ask, fields map[string]string, body []byte) (filled Ask, refusal string) {
	ask.Model = fields["model"]
	ask.Stream = strings.EqualFold(fields["stream"], "true") || fields["stream"] == "1"
	if n, sent := fields["n"]; sent {
		count, err := whole("n", []byte(n))
		if err != nil {
			return ask, err.sentence
		}
		ask.Choices = max(1, count)
		if count > maxChoices {
			return ask, tooMany
		}
	}
	if ask.Kind == Images {
		ask.Images = ask.Choices
	}
	sound := int64(len(body))/soundBytes + 1
	if ask.Kind == Images {
		sound = min(int64(len(body)), maxFormText)
	}
	ask.Input = sound + ask.Pictures*imageTokens + hiddenTokens
	ask.Likely = ask.Input / likelyPart
	return ask, ""
}

// maxFormText is the longest prompt that calls for images take.
const maxFormText = 32_000
