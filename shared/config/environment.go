package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const (
	// minAdminToken is the fewest characters of a bearer that opens everything; seal.MinBroughtSecret says
	// why.
	minAdminToken = 16
	// maxProxies bounds what every request is compared with; the clouds' published lists stay below it.
	maxProxies = 256
)

// bearerForm is b64token of RFC 6750 section 2.1; compiled where an admin token is set.
var bearerForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`) })

// cellForm keeps out what means something in a Redis key: colons part it, braces choose the cluster slot.
func cellForm(s string) bool {
	const longest = 32
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && (c != '-' || i == 0) {
			return false
		}
	}
	return s != "" && len(s) <= longest
}

// hostForm is a host as browsers and issuers compare it: lower case ASCII, an IPv6 address in brackets.
func hostForm(hostport string) bool {
	host, port := hostport, ""
	if i := strings.LastIndexByte(hostport, ':'); i > strings.LastIndexByte(hostport, ']') {
		host, port = hostport[:i], hostport[i+1:]
		if port == "" || strings.Trim(port, "0123456789") != "" { // whether it fits is portFits' to say
			return false
		}
	}
	if address, is := strings.CutPrefix(host, "["); is {
		_, err := netip.ParseAddr(strings.TrimSuffix(address, "]"))
		return err == nil && host == strings.ToLower(host)
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789_-") != "" {
			return false
		}
	}
	return true
}

// redisSchemes are one server, Sentinel and Cluster, each with and without TLS.
var redisSchemes = []string{
	"redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster",
}

// environment reads variables one by one and remembers every fault.
type environment struct {
	lookup func(string) (string, bool)
	faults []error
}

// fault remembers what is wrong with a variable and what to write instead.
func (e *environment) fault(name, wrong, instead string) {
	e.faults = append(e.faults, fmt.Errorf("%s %s: %s", name, wrong, instead))
}

// text returns a value as it stands. White space around it is a fault: it came with a file's last line, and
// would end up in a key or in a URL.
func (e *environment) text(name string) string {
	value, _ := e.lookup(name)
	if value != strings.TrimSpace(value) || strings.ContainsAny(value, "\r\n\x00") {
		e.fault(name, "has white space around it or a line end in it", "write the value alone")
		return ""
	}
	return value
}

// oneOf returns a word of a closed list, or the default where none is given.
func (e *environment) oneOf(name, otherwise string, words ...string) string {
	value := e.text(name)
	if value == "" {
		return otherwise
	}
	if !slices.Contains(words, value) {
		e.fault(name, "is "+strconv.Quote(value), "write "+strings.Join(words, " or "))
		return otherwise
	}
	return value
}

// redisURL checks scheme and form alone; what is in it is a secret and the client's business.
func (e *environment) redisURL() Secret {
	value := e.text("REDIS_URL")
	if value == "" {
		return ""
	}
	const instead = "write redis://user:password@host:6379/0 or rediss://…, special characters percent-encoded; " +
		"redis+sentinel://host,host/master, redis+cluster://host,host"
	u, err := url.Parse(value)
	if several, _, is := strings.Cut(value, ","); is && err != nil { // several hosts with ports are no URL to the standard library
		u, err = url.Parse(several)
	}
	switch {
	case err != nil:
		e.fault("REDIS_URL", "is not a URL", instead)
	case !slices.Contains(redisSchemes, u.Scheme):
		e.fault("REDIS_URL", "has another scheme than "+strings.Join(redisSchemes, ", "), instead)
	case u.Host == "":
		e.fault("REDIS_URL", "names no host", instead)
	default:
		return Secret(value)
	}
	return ""
}

// adminToken checks that the bearer is long enough and can stand in an Authorization header.
func (e *environment) adminToken() Secret {
	const name = "KEYLESS_ADMIN_TOKEN"
	value := e.text(name)
	switch {
	case value == "":
	case len(value) < minAdminToken:
		e.fault(name, "is too short", fmt.Sprintf("write at least %d random characters", minAdminToken))
	case !bearerForm().MatchString(value):
		e.fault(name, "has a character that a bearer cannot have",
			"write letters, digits and - . _ ~ + / only")
	default:
		return Secret(value)
	}
	return ""
}

// cell returns what stands before every Redis key.
func (e *environment) cell() string {
	value := e.text("KEYLESS_CELL")
	if value == "" {
		return "kg"
	}
	if !cellForm(value) {
		e.fault("KEYLESS_CELL", "is "+strconv.Quote(value), "write up to 32 of a-z, 0-9 and -")
		return "kg"
	}
	return value
}

// log takes "json,debug" apart.
func (e *environment) log(format string) (string, string) {
	const name, level = "KEYLESS_LOG", "info"
	levels := []string{"debug", "info", "warn", "error"}
	value := e.text(name)
	if value == "" {
		return format, level
	}
	first, second, hasLevel := strings.Cut(value, ",")
	if !hasLevel {
		second = level
	}
	if (first != "json" && first != "text") || !slices.Contains(levels, second) {
		e.fault(name, "is "+strconv.Quote(value),
			"write json or text, then perhaps a comma and debug, info, warn or error")
		return format, level
	}
	return first, second
}

// data tells a folder that is set and empty (in memory only) from one that is not set.
func (e *environment) data(otherwise string) (string, bool) {
	if _, set := e.lookup("KEYLESS_DATA"); !set {
		return otherwise, false
	}
	return e.text("KEYLESS_DATA"), true
}

// address returns a listen address, host:port.
func (e *environment) address(name, otherwise string) string {
	value := e.text(name)
	if value == "" {
		return otherwise
	}
	host, port, err := net.SplitHostPort(value)
	number, portErr := strconv.ParseUint(port, 10, 16)
	if err != nil || portErr != nil || strconv.FormatUint(number, 10) != port ||
		strings.ContainsAny(host, "/@ ") {
		e.fault(name, "is "+strconv.Quote(value),
			"write host:port, such as 127.0.0.1:8080, or :8080 for every address")
		return otherwise
	}
	return value
}

// proxies reads CIDRs separated by commas.
func (e *environment) proxies(name string, otherwise Proxies) Proxies {
	if _, set := e.lookup(name); !set {
		return otherwise
	}
	value := e.text(name)
	if value == "" {
		return nil
	}
	items := strings.Split(value, ",")
	if len(items) > maxProxies {
		e.fault(name, fmt.Sprintf("lists %d networks", len(items)),
			fmt.Sprintf("write at most %d", maxProxies))
		return nil
	}
	proxies := make(Proxies, 0, len(items))
	for _, item := range items {
		item = strings.TrimSpace(item)
		prefix, instead := parseNetwork(item)
		if instead != "" {
			e.fault(name, "has "+strconv.Quote(item), "write "+instead)
			continue
		}
		proxies = append(proxies, prefix)
	}
	return proxies
}

// parseNetwork returns a network in its own family, or what to write in its place.
func parseNetwork(text string) (netip.Prefix, string) {
	if single, err := netip.ParseAddr(text); err == nil && single.Zone() == "" {
		single = single.Unmap()
		return netip.Prefix{}, netip.PrefixFrom(single, single.BitLen()).String()
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, "a network such as 10.0.0.0/8"
	}
	if addr := prefix.Addr(); addr.Is4In6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(addr.Unmap(), prefix.Bits()-96)
	}
	if masked := prefix.Masked(); masked != prefix {
		return netip.Prefix{}, masked.String()
	}
	return prefix, ""
}
