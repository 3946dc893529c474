package cloud

import (
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// SignV4 signs a request to AWS in its header Authorization, with X-Amz-Date, X-Amz-Content-Sha256 and, for a role, the session token.
// body is the request's, whole. All headers but those that a proxy may change are signed, so it comes last.
func SignV4(r *http.Request, body []byte, c Credentials, service, region string, now time.Time) {
	stamp := now.UTC().Format("20060102T150405Z")
	r.Header.Set("X-Amz-Date", stamp)
	r.Header.Set("X-Amz-Content-Sha256", hexDigest(body))
	if c.Session != "" {
		r.Header.Set("X-Amz-Security-Token", c.Session)
	}
	signV4(r, hexDigest(body), c, service, region, stamp)
}

// signV4 signs the headers that are there.
func signV4(r *http.Request, payload string, c Credentials, service, region, stamp string) {
	names, lines := canonicalHeaders(r)
	canonical := strings.Join([]string{
		r.Method, awsPath(r.URL, service), awsQuery(r.URL.RawQuery), lines, names, payload,
	}, "\n")
	scope := strings.Join([]string{stamp[:8], region, service, "aws4_request"}, "/")
	toSign := "AWS4-HMAC-SHA256\n" + stamp + "\n" + scope + "\n" + hexDigest([]byte(canonical))
	key := []byte("AWS4" + c.Secret)
	for part := range strings.SplitSeq(scope, "/") {
		key = mac(key, part)
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+c.ID+"/"+scope+", SignedHeaders="+names+
		", Signature="+hex.EncodeToString(mac(key, toSign)))
}

// unsigned are headers that the transport or a proxy sets or changes on the way.
var unsigned = map[string]bool{
	"authorization": true, "user-agent": true, "x-amzn-trace-id": true, "expect": true, "connection": true, "accept-encoding": true,
	"content-length": true, "transfer-encoding": true, "traceparent": true, "tracestate": true,
}

// canonicalHeaders are the names, joined by ";", and the lines of the headers that are signed.
func canonicalHeaders(r *http.Request) (names, lines string) {
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	values := map[string]string{"host": host}
	for name, list := range r.Header {
		lower := strings.ToLower(name)
		if unsigned[lower] {
			continue
		}
		trimmed := make([]string, len(list))
		for i, value := range list {
			trimmed[i] = strings.Join(strings.Fields(value), " ")
		}
		values[lower] = strings.Join(trimmed, ",")
	}
	sorted := make([]string, 0, len(values))
	for name := range values {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	var text strings.Builder
	for _, name := range sorted {
		text.WriteString(name + ":" + values[name] + "\n")
	}
	return strings.Join(sorted, ";"), text.String()
}

// awsPath encodes the path once more, as every service but S3 wants it.
func awsPath(u *url.URL, service string) string {
	path := u.EscapedPath()
	if path == "" {
		return "/"
	}
	if service == "s3" {
		return path
	}
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		segments[i] = awsEncode(segment)
	}
	return strings.Join(segments, "/")
}

// awsQuery sorts the parameters, encoded as AWS encodes.
func awsQuery(raw string) string {
	if raw == "" {
		return ""
	}
	var pairs []string
	for pair := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(pair, "=")
		pairs = append(pairs, awsEncode(decoded(name))+"="+awsEncode(decoded(value)))
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

func decoded(text string) string {
	if clear, err := url.QueryUnescape(text); err == nil {
		return clear
	}
	return text
}

// awsEncode percent-encodes all but the unreserved characters (RFC 3986 §2.3).
func awsEncode(text string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(text) {
		switch c := text[i]; {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', strings.IndexByte("-._~", c) >= 0:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}
