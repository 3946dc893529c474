package cloud

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"
)

// SignACS3 signs an RPC request to an API of Alibaba Cloud: action and version go into headers, parameters stand in the query, which is
// sorted in place. The body is empty.
func SignACS3(r *http.Request, c Credentials, action, version string, now time.Time) {
	signACS3(r, c, action, version, now.UTC().Format("2006-01-02T15:04:05Z"), rand.Text())
}

func signACS3(r *http.Request, c Credentials, action, version, date, nonce string) {
	r.URL.RawQuery = awsQuery(r.URL.RawQuery) // the encoding is the same
	empty := hexDigest(nil)
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	headers := map[string]string{
		"host": host, "x-acs-action": action, "x-acs-version": version, "x-acs-content-sha256": empty,
		"x-acs-date": date, "x-acs-signature-nonce": nonce,
	}
	if c.Session != "" {
		headers["x-acs-security-token"] = c.Session
	}
	names := make([]string, 0, len(headers))
	for name, value := range headers {
		names = append(names, name)
		if name != "host" {
			r.Header.Set(name, value)
		}
	}
	slices.Sort(names)
	var lines strings.Builder
	for _, name := range names {
		lines.WriteString(name + ":" + headers[name] + "\n")
	}
	signed := strings.Join(names, ";")
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	canonical := strings.Join([]string{r.Method, path, r.URL.RawQuery, lines.String(), signed, empty}, "\n")
	signature := hex.EncodeToString(mac([]byte(c.Secret), "ACS3-HMAC-SHA256\n"+hexDigest([]byte(canonical))))
	r.Header.Set("Authorization", "ACS3-HMAC-SHA256 Credential="+c.ID+",SignedHeaders="+signed+",Signature="+signature)
}
