package meter

// How much input a body is at most. The tokenizers of today's models work on bytes: no token is shorter than
// one. So Input counts one token for each byte of the body that is not insignificant white space, an escape
// as the bytes that it stands for. That includes names and punctuation of the JSON, which cover what chat
// templates put around a message. Media in base64 are no text; they count by the bounds below. hiddenTokens
// covers what a provider adds unasked. What no body shows (Ask.Unseen) is not covered.
//
// Likely counts a quarter token for each byte of ASCII text, one for each other character and for each
// number, and an eighth of the bounds of media.
const (
	// hiddenTokens: Anthropic adds up to 346 for the use of tools, others a sentence.
	hiddenTokens = 512
	// imageTokens is Model Studio's most for one image in high resolution; OpenAI's and Anthropic's are below
	// 5,000.
	imageTokens = 16_384
	// miniImageTokens is what gpt-4o-mini counts for 8 tiles of high detail: 2,833 and 5,667 each.
	miniImageTokens = 48_169
	// videoTokens is the largest context that a video may fill at Model Studio. Likewise for what is sent by its
	// address.
	videoTokens = 131_072
	// soundBytes make one token at most: 25 tokens a second at 6 kbit/s, the least that speech is coded with.
	soundBytes = 30
	// documentTokens is the least that a PDF counts; beyond, one for each byte. One that is made of empty pages
	// can hold more.
	documentTokens = 16_384
	// likelyPart of a bound of media is what they probably count.
	likelyPart = 8
)

// input adds up. All of it stays far below 2^63: a body has less than 2^31 bytes.
type input struct {
	bytes    int64 // of everything but white space and media
	quarters int64 // of likely tokens of text
	media    int64 // tokens that media are at most
	pictures int64
}

func (n *input) most() int64 { return n.bytes + n.media + hiddenTokens }

func (n *input) probably() int64 { return (n.quarters+3)/4 + (n.media+likelyPart-1)/likelyPart }

// text counts a string.
func (n *input) text(s str) {
	n.bytes += s.bytes
	n.quarters += s.quarters
}

func (n *input) untext(s str) {
	n.bytes -= s.bytes
	n.quarters -= s.quarters
}

// medium counts a string that stands where a medium is expected.
func (n *input) medium(z zone, raw []byte, s str) {
	base64 := int64(len(raw)) / 4 * 3
	remote := isAddress(raw)
	if remote {
		n.text(s)
	}
	switch {
	case z == inImage:
		n.picture()
	case z == inVideo || remote:
		n.media += videoTokens
	case z == inAudio:
		n.media += base64/soundBytes + 1
	default:
		n.media += max(base64, documentTokens)
	}
}

func (n *input) picture() {
	n.pictures++
	n.media += imageTokens
}

// isAddress tells an address from the thing itself, by the scheme behind the opening quote.
func isAddress(raw []byte) bool {
	for _, scheme := range []string{`"http:`, `"https:`, `"oss:`, `"file:`, `"gs:`, `"s3:`} {
		if len(raw) >= len(scheme) && string(raw[:len(scheme)]) == scheme {
			return true
		}
	}
	return false
}

// InputOn is Input where the call runs on the model that the upstream knows by this name: gpt-4o-mini counts
// images dearer.
func (a Ask) InputOn(model string) int64 {
	if len(model) >= len(mini) && model[:len(mini)] == mini {
		return a.Input + a.Pictures*(miniImageTokens-imageTokens)
	}
	return a.Input
}

const mini = "gpt-4o-mini"
