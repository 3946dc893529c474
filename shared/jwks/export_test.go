package jwks

import (
	"net/netip"
	"time"
)

// Sources counts what a Cache holds.
func (c *Cache) Sources() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.young) + len(c.old)
}

// Hurry shortens the deadline of a fetch, and returns what it was.
func (c *Cache) Hurry(within time.Duration) time.Duration {
	before := c.fetch.within
	c.fetch.within = within
	return before
}

// Allows asks the guard, for addresses that a test must not dial.
func Allows(private, loopback, plain bool, address string) bool {
	return guard{private: private, loopback: loopback, ownOnly: plain}.allows(netip.MustParseAddr(address))
}
