package auth_test

import (
	"io"
	"strings"
	"testing"

	"keyless/shared/auth"
)

// counted is a body that says how much of it was read.
type counted struct {
	io.Reader
	read int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read += n
	return n, err
}

func (c *counted) Close() error { return nil }

// Whoever knows an access key alone cannot make us read: a form is bounded, any other body waits for the signature.
func TestBodiesBeforeTheSignatureAreBounded(t *testing.T) {
	t.Parallel()
	const large = 8 << 20
	forged := func(c *caRequest) { c.method, c.secret = "POST", "not the secret of the tests" }
	for name, row := range map[string]struct {
		change func(*caRequest)
		most   int
		want   auth.Reason
	}{
		"a large form": {func(c *caRequest) { forged(c); c.contentType = formType }, 512 << 10, auth.BodyTooLarge},
		"another body": {func(c *caRequest) { forged(c); c.md5 = md5Of("abc") }, 0, auth.HMACInvalidSignature},
	} {
		r := ca().with(row.change).build()
		body := &counted{Reader: strings.NewReader(strings.Repeat("0&1=2&", large/6))}
		r.Body, r.ContentLength = body, large
		newPartner(t).want(name, r, row.want)
		if body.read > row.most {
			t.Errorf("%s: %d bytes were read before the signature was known", name, body.read)
		}
	}
}
