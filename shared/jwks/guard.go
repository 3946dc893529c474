package jwks

import (
	"errors"
	"net/netip"
	"syscall"
)

// errAddress refuses an address. It is for the log.
var errAddress = errors.New("an address that is not allowed")

// guard decides where a fetch may go, by the address that is being dialed: the name has been resolved by
// then, so that no second answer of the DNS can lead elsewhere.
type guard struct {
	private  bool // also private networks
	loopback bool // also this machine
	ownOnly  bool // nowhere else: for plain http
}

// control is a net.Dialer's Control.
func (g guard) control(_, address string, _ syscall.RawConn) error {
	dialed, err := netip.ParseAddrPort(address)
	if err != nil || !g.allows(dialed.Addr()) {
		return errAddress
	}
	return nil
}

func (g guard) allows(address netip.Addr) bool {
	address = address.WithZone("").Unmap()
	switch {
	case address.IsLoopback():
		return g.loopback
	case within(address, never):
		return false
	case address.IsPrivate() || within(address, carrier):
		return g.private
	}
	return !g.ownOnly && address.IsGlobalUnicast()
}

func within(address netip.Addr, list []netip.Prefix) bool {
	for _, prefix := range list {
		if prefix.Contains(address) {
			return true
		}
	}
	return false
}

// carrier is the address space between carriers and their customers, which clouds use inside (RFC 6598).
var carrier = prefixes("100.64.0.0/10")

// never lists what no issuer lives at: metadata services, link-local and special-purpose addresses, and the
// forms of IPv6 that stand for an IPv4 address. Source: the IANA special-purpose registries (RFC 6890).
var never = prefixes(
	"0.0.0.0/8",          // this network
	"100.100.100.200/32", // Alibaba Cloud's metadata service
	"168.63.129.16/32",   // Azure's platform address
	"169.254.0.0/16",     // link-local; the metadata service of AWS and others is 169.254.169.254
	"192.0.0.0/24",       // protocol assignments; Oracle's metadata service is 192.0.0.192
	"192.0.2.0/24",       // documentation
	"192.88.99.0/24",     // 6to4 relays
	"198.18.0.0/15",      // benchmarks
	"198.51.100.0/24",    // documentation
	"203.0.113.0/24",     // documentation
	"224.0.0.0/4",        // multicast
	"240.0.0.0/4",        // reserved, and broadcast
	"::/96",              // unspecified, and IPv4-compatible
	"64:ff9b::/96",       // NAT64
	"64:ff9b:1::/48",     // local NAT64
	"100::/64",           // discard
	"2001::/23",          // protocol assignments: Teredo, benchmarks, ORCHID
	"2001:db8::/32",      // documentation
	"2002::/16",          // 6to4
	"3fff::/20",          // documentation
	"5f00::/16",          // segment routing
	"fd00:ec2::254/128",  // AWS's metadata service
	"fd20:ce::254/128",   // Google Cloud's metadata service
	"fe80::/10",          // link-local
	"fec0::/10",          // site-local
	"ff00::/8",           // multicast
)

func prefixes(list ...string) []netip.Prefix {
	parsed := make([]netip.Prefix, len(list))
	for i, text := range list {
		parsed[i] = netip.MustParsePrefix(text)
	}
	return parsed
}
