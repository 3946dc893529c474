package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"keyless/shared/cloud"
)

// errUnproven says that we have nothing to prove ourselves with to an upstream. Nothing was sent.
var errUnproven = errors.New("the gateway has no credential for the upstream")

// proof is how an exchange proves itself where no key of a provider's does.
type proof struct {
	grantee grantee // whose token it bears
	granted bool    // it bears one
	renews  bool    // the token was refused, and the next is another
}

// prove signs the request, or adds a token, where the upstream's auth says so and no key is sent: a consumer's own key stands in its
// place. It comes last, for a signature holds what is there. The error wraps errUnproven; x.key becomes what no answer may show.
func (p *proxy) prove(x *exchange, out *http.Request, body []byte) error {
	auth := x.upstream.Auth
	if auth == nil {
		return nil
	}
	if auth.SigV4 != nil {
		dropAWS(out, x.upstream.Headers)
	}
	var err error
	switch {
	case x.key != "":
	case auth.SigV4 != nil:
		err = p.sign(x, out, body)
	case auth.OAuth != nil:
		err = p.bear(x, out)
	}
	if err != nil {
		p.Log.Error("no credential for an upstream", "upstream", x.upstream.Name, "error", err.Error())
	}
	return err
}

// sign signs the request by the function's role (AWS Signature Version 4). The credentials are read anew for each attempt: platforms
// replace them.
func (p *proxy) sign(x *exchange, out *http.Request, body []byte) error {
	look := p.Lookup
	if look == nil {
		look = func(string) (string, bool) { return "", false }
	}
	region, _ := look("AWS_REGION")
	region = cmp.Or(x.upstream.Auth.SigV4["region"], region)
	role := cloud.AWS(look)
	switch {
	case !role.Known():
		return fmt.Errorf("%w: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN), as Lambda does for a role",
			errUnproven)
	case region == "":
		return fmt.Errorf("%w: set auth.sigv4.region of the upstream, or AWS_REGION", errUnproven)
	}
	cloud.SignV4(out, body, role, x.upstream.Auth.SigV4["service"], region, p.Now())
	// AWS tells the text that it would have signed to whoever signs it wrongly, with these in it.
	x.key = cmp.Or(role.Session, role.ID)
	return nil
}

// amz begins the names of what a signature of AWS is made of.
const amz = "X-Amz-"

// dropAWS takes out the caller's own signature, which would stand beside ours: headers, save for the operator's, and parameters.
func dropAWS(out *http.Request, operators map[string]string) {
	set := map[string]bool{}
	for name := range operators {
		set[http.CanonicalHeaderKey(name)] = true
	}
	for name := range out.Header {
		if strings.HasPrefix(name, amz) && !set[name] {
			delete(out.Header, name)
		}
	}
	var kept []string
	for pair := range strings.SplitSeq(out.URL.RawQuery, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if clear := unescaped(name); len(clear) < len(amz) || !strings.EqualFold(clear[:len(amz)], amz) {
			kept = append(kept, pair)
		}
	}
	out.URL.RawQuery = strings.Join(kept, "&")
}
