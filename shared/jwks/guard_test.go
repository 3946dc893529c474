package jwks_test

import (
	"testing"

	"keyless/shared/jwks"
)

func TestF02F03Addresses(t *testing.T) {
	t.Parallel()
	const public, private, loopback, never = "public", "private", "loopback", "never"
	tests := map[string]string{
		"8.8.8.8": public, "2606:4700::1111": public, "::ffff:8.8.8.8": public, "100.128.0.1": public,
		"172.32.0.1": public, "11.0.0.1": public, "198.20.0.1": public, "2001:200::1": public,
		"10.0.0.1": private, "172.16.0.1": private, "172.31.255.255": private, "192.168.1.1": private,
		"100.64.0.1": private, "100.127.255.255": private, "fc00::1": private, "fd12::1": private,
		"::ffff:10.0.0.1": private, "::ffff:100.64.0.1": private,
		"127.0.0.1": loopback, "127.9.9.9": loopback, "::1": loopback, "::ffff:127.0.0.1": loopback,
		"0.0.0.0": never, "0.1.2.3": never, "::": never, "::ffff:0.0.0.0": never, "::127.0.0.1": never,
		"169.254.169.254": never, "::ffff:169.254.169.254": never, "169.254.0.1": never, "fe80::1": never,
		"fe80::1%eth0": never, "100.100.100.200": never, "168.63.129.16": never, "192.0.0.192": never,
		"fd00:ec2::254": never, "fd20:ce::254": never, "64:ff9b::a9fe:a9fe": never, "64:ff9b::808:808": never,
		"64:ff9b:1::1": never, "2002:7f00:1::": never, "2002:808:808::1": never, "192.88.99.1": never,
		"198.18.0.1": never, "198.19.255.255": never, "192.0.2.1": never, "198.51.100.1": never,
		"203.0.113.1": never, "224.0.0.1": never, "239.1.1.1": never, "255.255.255.255": never, "240.0.0.1": never,
		"ff02::1": never, "fec0::1": never, "2001::1": never, "2001:2::1": never, "2001:db8::1": never,
		"100::1": never, "5f00::1": never, "3fff::1": never,
	}
	for address, kind := range tests {
		for _, open := range []bool{false, true} {
			for _, own := range []bool{false, true} {
				for _, plain := range []bool{false, true} {
					want := kind == public && !plain || kind == private && open || kind == loopback && own
					if got := jwks.Allows(open, own, plain, address); got != want {
						t.Errorf("%s, private %v, loopback %v, plain http %v: %v", address, open, own, plain, got)
					}
				}
			}
		}
	}
}
