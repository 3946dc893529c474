package translate

import (
	"encoding/json"
	"slices"
	"strings"
)

// imageTypes are the pictures that Anthropic takes; OpenAI takes the same.
var imageTypes = []string{"image/png", "image/jpeg", "image/gif", "image/webp"}

const wrongMedia = "has to be image/png, image/jpeg, image/gif or image/webp"

const wrongImage = "has to be an https URL, or a data URL of a PNG, JPEG, GIF or WebP in base64"

const notHTTPS = "has to be an https URL"

// imageBlock turns OpenAI's image_url part into Anthropic's image block. part has lost its type.
func imageBlock(part members) ([]byte, error) {
	image, err := part.object("image_url")
	if err != nil {
		return nil, err
	}
	url, err := image.word("url")
	if err != nil {
		return nil, err
	}
	source, ok := imageSource(url)
	if !ok {
		return nil, image.refuse("url", wrongImage)
	}
	if err := image.rest(imageURLRules); err != nil {
		return nil, err
	}
	var out object
	out.str("type", "image")
	out.raw("source", source)
	return out.end(), part.rest(chatPartRules)
}

func imageSource(url string) ([]byte, bool) {
	var out object
	if strings.HasPrefix(url, "https://") {
		out.str("type", "url")
		out.str("url", url)
		return out.end(), true
	}
	rest, isData := strings.CutPrefix(url, "data:")
	media, data, whole := strings.Cut(rest, ";base64,")
	if !isData || !whole || data == "" || !slices.Contains(imageTypes, media) {
		return nil, false
	}
	out.str("type", "base64")
	out.str("media_type", media)
	out.str("data", data)
	return out.end(), true
}

// imagePart turns Anthropic's image block into OpenAI's image_url part. block has lost its type.
func imagePart(block members) ([]byte, error) {
	source, err := block.object("source")
	if err != nil {
		return nil, err
	}
	url, err := imageURL(source)
	if err != nil {
		return nil, err
	}
	if err := source.rest(noRules); err != nil {
		return nil, err
	}
	var image, out object
	image.raw("url", url)
	out.str("type", "image_url")
	out.raw("image_url", image.end())
	return out.end(), block.rest(blockRules)
}

func imageURL(source members) (json.RawMessage, error) {
	kind, err := source.word("type")
	if err != nil {
		return nil, err
	}
	switch kind {
	case "url":
		url, err := source.needLiteral("url")
		if err != nil {
			return nil, err
		}
		if !strings.HasPrefix(decoded(url), "https://") {
			return nil, source.refuse("url", notHTTPS)
		}
		return url, nil
	case "base64":
		media, err := source.word("media_type")
		if err != nil {
			return nil, err
		}
		if !slices.Contains(imageTypes, media) {
			return nil, source.refuse("media_type", wrongMedia)
		}
		data, err := source.needLiteral("data")
		if err != nil {
			return nil, err
		}
		return prefixed("data:"+media+";base64,", data), nil
	}
	return nil, source.refuse("type", noOther)
}
