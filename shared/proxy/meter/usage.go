package meter

import (
	"strconv"

	"keyless/shared/ledger"
)

// maxCount is more than any call uses. A count beyond it, one below zero or one that is no whole number is
// nonsense and ignored.
const maxCount = 1 << 40

// tally is a usage object as it came. A count that is missing is 0.
type tally struct {
	input, output, total        int64
	cached, read, wrote, reason int64
	images                      int64
}

// count takes a number of the usage object, or of one of its details.
func (t *tally) count(p path, word []byte) {
	n, err := strconv.ParseInt(string(word), 10, 64)
	if err != nil || n < 0 || n > maxCount {
		return
	}
	inDetails := p>>8 != pUsage
	switch last(p) {
	case nPromptTokens, nInputTokens:
		t.input = max(t.input, n)
	case nCompletionTokens, nOutputTokens:
		t.output = max(t.output, n)
	case nTotalTokens:
		t.total = n
	case nCached, nCachedHit:
		t.cached = max(t.cached, n)
	case nReasoningTokens:
		t.reason = n
	case nCacheRead:
		if !inDetails {
			t.read = n
		}
	case nCacheCreation:
		if !inDetails {
			t.wrote = n
		}
	case nImageCount:
		t.images = n
	}
}

// commit takes a usage object that is whole. The last one that says anything holds; Anthropic's second one
// completes the first.
func (m *Meter) commit() {
	t := m.told
	if t == (tally{}) {
		return
	}
	images := m.used.Images // those of Images are counted one by one
	switch m.how.Kind {
	case Messages:
		m.commitMessages(t)
	case Embeddings, Rerank:
		m.used = ledger.Usage{Input: max(t.input, t.total), CachedInput: t.cached}
	case Images:
		m.used = t.usage()
		m.used.Images = images
	default:
		m.used = t.usage()
	}
	m.used.CachedInput = min(m.used.CachedInput, m.used.Input)
	m.used.Reasoning = min(m.used.Reasoning, m.used.Output)
	m.known = m.known || m.used != (ledger.Usage{})
}

// usage is the sum in OpenAI's and the native way: input holds what was cached. Where the total is larger,
// some upstreams leave reasoning out of the output; where it stands alone, it is input (embeddings).
func (t tally) usage() ledger.Usage {
	u := ledger.Usage{Input: t.input, CachedInput: t.cached, Output: t.output, Reasoning: t.reason}
	u.Images = t.images
	switch {
	case t.input == 0 && t.output == 0:
		u.Input = t.total
	case t.total > t.input+t.output:
		u.Output = t.total - t.input
	}
	return u
}

// commitMessages sums in Anthropic's way: input leaves out what was read from the cache and what was written
// to it.
func (m *Meter) commitMessages(t tally) {
	if input := t.input + t.read + t.wrote; input > 0 {
		m.used.Input, m.used.CachedInput = input, t.read
	}
	if t.output > 0 {
		m.used.Output = t.output
	}
	if t.reason > 0 {
		m.used.Reasoning = t.reason
	}
}
