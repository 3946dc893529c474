package meter

import (
	"bytes"
	"strings"
)

// zone is where in a request's body a value stands: it decides whether a string is text or a medium.
type zone uint8

const (
	inTop        zone = iota // the body's own members
	inOptions                // stream_options
	inParameters             // parameters of the native format
	inPrompt                 // messages and the like: media may stand here
	inWords                  // definitions, arguments: the upstream renders all of it as text
	inTools                  // the list of tools, up to the members of each
	inSource                 // Anthropic's source: its type says what its data are
	inImage
	inVideo
	inAudio
	inDocument
)

// below is the zone of a member's value.
func (z zone) below(kind Kind, name []byte) zone {
	switch z {
	case inTop:
		return belowTop(kind, name)
	case inPrompt, inSource:
		return belowPrompt(name)
	case inImage, inVideo, inAudio:
		switch string(name) {
		case "url", "data", "image_url", "b64_json":
			return z
		}
	}
	return inWords
}

func belowTop(kind Kind, name []byte) zone {
	switch string(name) {
	case "tools":
		return inTools
	case "stream_options":
		if kind.asksUsage() {
			return inOptions
		}
	case "parameters":
		if kind == Native {
			return inParameters
		}
	case "messages", "input", "system", "contents", "query", "documents":
		return inPrompt
	case "image", "images":
		if kind == Images {
			return inImage
		}
	}
	return inWords
}

func belowPrompt(name []byte) zone {
	switch string(name) {
	case "image_url", "image":
		return inImage
	case "video_url", "video":
		return inVideo
	case "input_audio", "audio":
		return inAudio
	case "file_data":
		return inDocument
	case "source":
		return inSource
	case "input", "arguments", "tool_calls", "function_call":
		return inWords // a tool's call is text, whatever its members are called
	}
	return inPrompt
}

func (z zone) medium() bool { return z >= inImage }

// element is the zone of an array's elements: the frames of a video are images.
func (z zone) element() zone {
	if z == inVideo {
		return inImage
	}
	return z
}

// pointsAway reports whether a member makes the upstream read what the body does not hold.
func pointsAway(name, value []byte) bool {
	if v := string(value[:min(len(value), 5)]); v == "null" || v == "false" || v == `""` || v == "[]" {
		return false
	}
	switch string(name) {
	case "previous_response_id", "conversation", "file_id", "file_ids", "file_url", "mcp_servers", "container",
		"web_search_options", "enable_search", "search_parameters":
		return true
	}
	return false
}

// callersTools are what types of tools that the caller runs begin with.
var callersTools = []string{
	"function", "custom", "bash", "text_editor", "computer", "memory", "local_shell", "apply_patch",
}

// serverTool reports whether a tool's type names one that the upstream runs by itself, so that its finds
// become input.
func serverTool(kind []byte) bool {
	name := string(bytes.Trim(kind, `"`))
	for _, own := range callersTools {
		if strings.HasPrefix(name, own) {
			return false
		}
	}
	return true
}
