package command

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxFrame bounds a line of a stream: a frame with an image has a few MiB.
const maxFrame = 16 << 20

// frame is what matters of a frame of a stream, OpenAI's or Anthropic's.
type frame struct {
	Type    string
	Choices []struct{ Delta struct{ Content string } }
	Delta   struct{ Text string }
	Error   *struct{ Message string }
}

// stream prints the words of a stream as they come. One that ends with an error, or without its end, is an error.
func (t terminal) stream(body io.Reader) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxFrame)
	ended, ofModel := false, false
	for lines.Scan() {
		data, is := strings.CutPrefix(lines.Text(), "data:")
		data = strings.TrimSpace(data)
		if data == "[DONE]" {
			ended = true
		}
		var f frame
		if !is || json.Unmarshal([]byte(data), &f) != nil {
			continue
		}
		if f.Error != nil {
			return errors.New(plain(f.Error.Message))
		}
		ofModel = ofModel || f.Type != "" || len(f.Choices) > 0
		ended = ended || f.Type == "message_stop"
		text := f.Delta.Text
		for _, choice := range f.Choices {
			text += choice.Delta.Content
		}
		if _, err := fmt.Fprint(t.stdout, plainLines(text)); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if ofModel && !ended {
		return io.ErrUnexpectedEOF
	}
	return nil
}
