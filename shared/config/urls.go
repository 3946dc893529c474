package config

import (
	"net"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// urlRule is what a base URL may have.
type urlRule struct {
	path      bool
	plainHTTP bool
}

// publicURL is scheme and host. In serve it follows the listen address unless set.
func (e *environment) publicURL(defaults Defaults, c Config) (string, bool) {
	const name = "KEYLESS_PUBLIC_URL"
	if value, _ := e.lookup(name); value != "" {
		return e.baseURL(name, urlRule{plainHTTP: defaults.PlainHTTP}), true
	}
	if defaults.Addr == "" {
		return "", false
	}
	return URLOf(c.Addr, c.TLSCert != ""), false
}

// URLOf is the URL under which a listen address can be called from the same machine: an address that means
// every interface becomes 127.0.0.1.
func URLOf(addr string, tls bool) string {
	scheme, implied := "http://", "80"
	if tls {
		scheme, implied = "https://", "443"
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return scheme + addr
	}
	if ip, err := netip.ParseAddr(host); host == "" || (err == nil && ip.IsUnspecified()) {
		host = "127.0.0.1"
	}
	if port == implied {
		return scheme + strings.TrimSuffix(net.JoinHostPort(host, ""), ":")
	}
	return scheme + net.JoinHostPort(host, port)
}

// baseURL accepts a URL in the one form in which issuers are compared, byte by byte.
func (e *environment) baseURL(name string, rule urlRule) string {
	value := e.text(name)
	if value == "" {
		return ""
	}
	instead := "write scheme and host alone, such as https://id.acme.example"
	if rule.path {
		instead = "write scheme, host and perhaps a path, such as https://id.acme.example/prod"
	}
	u, err := url.Parse(value)
	if err != nil || u.User != nil {
		// Neither is shown: what does not parse may have a password in it too.
		e.fault(name, "is not a URL, or has a user name in it", instead)
		return ""
	}
	if wrong := faultOf(u, value, rule); wrong != "" {
		e.fault(name, "is "+strconv.Quote(value)+", which "+wrong, instead)
		return ""
	}
	return value
}

// faultOf says in words what keeps a URL from being a base, or nothing.
func faultOf(u *url.URL, value string, rule urlRule) string {
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return "does not begin with https://"
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(value, "#"):
		return "has a query or a fragment"
	case strings.HasSuffix(value, "/"):
		return "ends in a slash"
	case u.Path != "" && !rule.path:
		return "has a path"
	case u.Path != "" && (path.Clean(u.Path) != u.Path || u.EscapedPath() != u.Path):
		return "has a path that is not canonical"
	case !hostForm(u.Host) || value != u.Scheme+"://"+u.Host+u.Path:
		return "has a host that is not plain lower-case ASCII"
	case !portFits(u):
		return "names its scheme's own port, or none that exists"
	case u.Scheme == "http" && !rule.plainHTTP && !isLoopback(u.Host):
		return "sends tokens in clear text"
	}
	return ""
}

// portFits refuses the port that the scheme implies: an issuer with it and one without are two issuers.
func portFits(u *url.URL) bool {
	if u.Port() == "" {
		return true
	}
	number, err := strconv.ParseUint(u.Port(), 10, 16)
	implied := map[string]uint64{"https": 443, "http": 80}[u.Scheme]
	return err == nil && number != 0 && number != implied
}

// isLoopback says whether a host, with or without port, is this machine and nothing else.
func isLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && ip.Unmap().IsLoopback())
}

// allowURLs reads one switch and returns two: private addresses, and loopback ones.
func (e *environment) allowURLs(onLoopback bool) (private, loopback bool) {
	switch e.oneOf("KEYLESS_ALLOW_PRIVATE_URLS", "", "false", "true") {
	case "true":
		return true, true
	case "false":
		return false, false
	}
	return false, onLoopback
}
