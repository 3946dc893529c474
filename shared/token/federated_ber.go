package token

// maxNesting bounds the depth of a signed document: certificates with their extensions nest half as deep.
const maxNesting = 32

// isBER reports whether a text is one element of BER (X.690 §8) whose elements stand inside one another and fill what
// they stand in. The library that reads CMS does not hold an inner element to the end of its outer one, and reads what
// overlaps once for each of them: a few bytes then take it years.
func isBER(text []byte) bool { return element(text, 1) == len(text) && len(text) > 0 }

// element returns the length of the element at the front with its header, -1 where it is malformed. CMS has no tags of
// several bytes.
func element(text []byte, depth int) int {
	if depth > maxNesting || len(text) < 2 || text[0]&0x1f == 0x1f {
		return -1
	}
	constructed, length, at := text[0]&0x20 != 0, int(text[1]), 2
	switch {
	case length == 0x80 && constructed:
		return indefinite(text, depth)
	case length == 0x80:
		return -1
	case length > 0x80:
		more := length & 0x7f
		if more > 3 || len(text) < at+more {
			return -1
		}
		length = 0
		for _, b := range text[at : at+more] {
			length = length<<8 | int(b)
		}
		at += more
	}
	end := at + length
	if end > len(text) {
		return -1
	}
	for constructed && at < end {
		inner := element(text[at:end], depth+1)
		if inner < 0 {
			return -1
		}
		at += inner
	}
	return end
}

// indefinite reads elements up to the two zero bytes that end them; there is at least one, for the library takes no
// zeros for the end before.
func indefinite(text []byte, depth int) int {
	ended := func(at int) bool { return len(text)-at >= 2 && text[at] == 0 && text[at+1] == 0 }
	at := 2
	if ended(at) {
		return -1
	}
	for !ended(at) {
		inner := element(text[at:], depth+1)
		if inner < 0 {
			return -1
		}
		at += inner
	}
	return at + 2
}
