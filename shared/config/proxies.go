package config

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// maxForwarded bounds how many X-Forwarded-For entries are read, from the right: a longer chain of trusted
// proxies than this does not exist, and a client may send megabytes of them.
const maxForwarded = 16

// Proxies are the networks whose forwarding headers are believed. It is safe for concurrent use.
type Proxies []netip.Prefix

// Loopback returns the networks of this machine.
func Loopback() Proxies {
	return Proxies{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// Trusts says whether a peer is one of the proxies. remoteAddr is host:port, as in http.Request.RemoteAddr,
// or a host; an IPv4 address in its IPv6 form is the IPv4 address. What is no address is not trusted.
func (p Proxies) Trusts(remoteAddr string) bool {
	addr, ok := parseAddr(remoteAddr)
	return ok && p.contains(addr)
}

// Client returns the address of the caller, without port: the peer's own unless the peer is trusted, then the
// right-most entry of X-Forwarded-For that is not trusted. An entry that is no address ends the search, for
// whatever stands left of it was not written by a proxy of ours; the last address found before it is
// returned. It is empty where the peer itself has no address.
func (p Proxies) Client(r *http.Request) string {
	client, ok := parseAddr(r.RemoteAddr)
	if !ok {
		return ""
	}
	left := maxForwarded
	lines := r.Header.Values("X-Forwarded-For")
	for i := len(lines) - 1; i >= 0; i-- {
		for rest, more := lines[i], true; more; left-- {
			if left == 0 || !p.contains(client) {
				return client.String()
			}
			var entry string
			rest, entry, more = cutLast(rest)
			addr, ok := parseAddr(strings.Trim(entry, " \t"))
			if !ok {
				return client.String()
			}
			client = addr
		}
	}
	return client.String()
}

// cutLast parts a list at its last comma, without looking at what stands before.
func cutLast(list string) (before, last string, more bool) {
	comma := strings.LastIndexByte(list, ',')
	if comma < 0 {
		return "", list, false
	}
	return list[:comma], list[comma+1:], true
}

// contains compares an address in its own family, without zone.
func (p Proxies) contains(addr netip.Addr) bool {
	for _, network := range p {
		if network.Contains(addr) {
			return true
		}
	}
	return false
}

// parseAddr reads host:port, [host]:port, [host] or host.
func parseAddr(text string) (netip.Addr, bool) {
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	} else if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		text = text[1 : len(text)-1]
	}
	addr, err := netip.ParseAddr(text)
	return addr.Unmap().WithZone(""), err == nil
}
