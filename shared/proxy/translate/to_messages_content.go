package translate

import "encoding/json"

// contentBlocks takes a message's content, a string or parts, as Anthropic's blocks. Empty texts are left
// out: they say nothing, and Anthropic refuses them. pictures says whether images may stand there.
func contentBlocks(m members, pictures bool) ([][]byte, error) {
	if text := m.of["content"]; text != nil && text[0] == '"' {
		delete(m.of, "content")
		return texts(text), nil
	}
	parts, err := m.list("content")
	if err != nil {
		return nil, m.refuse("content", "has to be a string or an array of parts")
	}
	var blocks [][]byte
	for i, part := range parts {
		p, err := split(item(m.path("content"), i), part)
		if err != nil {
			return nil, err
		}
		block, err := contentBlock(p, pictures)
		if err != nil {
			return nil, err
		}
		blocks = append(blocks, block...)
	}
	return blocks, nil
}

func texts(literal json.RawMessage) [][]byte {
	if string(literal) == `""` {
		return nil
	}
	return [][]byte{textPart(literal)}
}

// contentBlock turns one part; an empty text becomes none.
func contentBlock(p members, pictures bool) ([][]byte, error) {
	kind, err := p.word("type")
	if err != nil {
		return nil, err
	}
	switch {
	case kind == "text" || kind == "refusal" && !pictures:
		text, err := p.literal(kind)
		if err != nil {
			return nil, err
		}
		if text == nil {
			return nil, p.refuse(kind, "is missing")
		}
		return texts(text), p.rest(chatPartRules)
	case kind == "image_url" && pictures:
		block, err := imageBlock(p)
		return [][]byte{block}, err
	}
	return nil, p.refuse("type", noOther)
}

// contentTexts takes a content that may hold text only, as the texts' literals.
func contentTexts(m members) ([][]byte, error) {
	content := m.of["content"]
	if content != nil && content[0] == '"' {
		delete(m.of, "content")
		return nonEmpty(content), nil
	}
	parts, err := m.list("content")
	if err != nil {
		return nil, m.refuse("content", "has to be a string or an array of parts")
	}
	return textsOf(m.path("content"), parts, chatPartRules)
}

// textsOf reads parts, or blocks, that may be text only.
func textsOf(at string, parts []json.RawMessage, known rules) ([][]byte, error) {
	var literals [][]byte
	for i, part := range parts {
		p, err := split(item(at, i), part)
		if err != nil {
			return nil, err
		}
		if kind, err := p.word("type"); err != nil || kind != "text" {
			return nil, p.refuse("type", noOther)
		}
		text, err := p.literal("text")
		if err != nil {
			return nil, err
		}
		if text == nil {
			return nil, p.refuse("text", "is missing")
		}
		if string(text) != `""` {
			literals = append(literals, text)
		}
		if err := p.rest(known); err != nil {
			return nil, err
		}
	}
	return literals, nil
}
