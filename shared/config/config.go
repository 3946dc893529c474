// Package config turns the environment into typed values. It exists so that every fault of a deployment is
// told at start, all at once and in words, instead of one by one at the first request that meets it.
//
// How a request meets it: not at all. Each main calls Load once and hands the values on; two of them come
// along: Secret, which never prints, and Proxies, which says whose forwarding headers are believed.
//
// Everything here is immutable after Load and safe for concurrent use. The package reads nothing but the
// lookup that it is given: no files, no network.
package config

import (
	"errors"
	"slices"
)

// Config is what the environment says, checked. Empty strings are "not set" unless a field says otherwise.
type Config struct {
	// RedisURL is redis:// or rediss://; empty: the embedded store of `keyless serve`.
	RedisURL Secret
	// PublicURL is scheme and host, without a trailing slash: the base of every issuer.
	PublicURL string
	// PublicURLSet is false where PublicURL only follows the listen address, so that a server that listens on
	// port 0 may put the real one in its place (URLOf).
	PublicURLSet bool
	// TokenURL is the base of the token endpoint where that is not PublicURL. It may have a path.
	TokenURL string
	// Addr is the listen address of serve, host:port.
	Addr string
	// TLSCert and TLSKey are PEM files; both or neither are set.
	TLSCert, TLSKey string
	// AdminAddr is the listen address of admin and console; empty: they share Addr.
	AdminAddr string
	// Data is the folder of the embedded store.
	Data string
	// DataSet says that KEYLESS_DATA was given; with Data empty the store lives in memory only.
	DataSet bool
	// ConfigFile is the file that serve applies.
	ConfigFile string
	// MasterKey seals secrets; its form is checked by seal.ParseKeys.
	MasterKey Secret
	// SigningMasterKey seals private signing keys; it is MasterKey unless set apart.
	SigningMasterKey Secret
	// AdminToken is the bootstrap bearer of the admin API; empty: no bootstrap login.
	AdminToken Secret
	// ConsoleOIDC is the provider with which people sign in to the console; its Issuer is "" where there is none.
	ConsoleOIDC ConsoleOIDC
	// StoreFailure is what limits do while Redis is away: "closed", the default, or "open".
	StoreFailure string
	// Runtime is "lambda", "fc-event" or "http"; empty: the platform looks where it runs.
	Runtime string
	// ResponseStream says that the integration in front of the function streams.
	ResponseStream bool
	// TrustedProxies are the peers whose forwarding headers are believed.
	TrustedProxies Proxies
	// AllowPrivateURLs allows JWK Set and issuer URLs at private and loopback addresses.
	AllowPrivateURLs bool
	// AllowLoopbackURLs allows them at loopback addresses.
	AllowLoopbackURLs bool
	// Region stands on every line of the log.
	Region string
	// LogFormat is "json" or "text"; LogLevel is "debug", "info", "warn" or "error".
	LogFormat, LogLevel string
	// Cell stands before every Redis key.
	Cell string
}

// Defaults is what differs between `keyless serve` and a function.
type Defaults struct {
	// Required lists variables without which the process must not start.
	Required []string
	// Addr is the default of KEYLESS_ADDR. Where it is set, the public URL follows the listen address, and
	// loopback URLs are allowed while that address is loopback.
	Addr string
	// Data is the default of KEYLESS_DATA.
	Data string
	// TrustedProxies is the default of KEYLESS_TRUSTED_PROXIES.
	TrustedProxies Proxies
	// LogFormat is the default of the format in KEYLESS_LOG.
	LogFormat string
	// PlainHTTP accepts an http:// public URL for any host: TLS may end in front of a server, while a
	// function's own URL is always https.
	PlainHTTP bool
}

// Function returns the defaults of a deployed function: nothing is trusted, and without a store and a master
// key it refuses to start. A function that needs more appends to Required.
func Function() Defaults {
	return Defaults{Required: []string{"REDIS_URL", "KEYLESS_MASTER_KEY"}, LogFormat: "json"}
}

// Serve returns the defaults of `keyless serve` on a laptop: loopback is trusted, everything has a default,
// and a master key is required only together with REDIS_URL.
func Serve() Defaults {
	return Defaults{
		Addr: "127.0.0.1:8080", Data: ".keyless", LogFormat: "text",
		TrustedProxies: Loopback(), PlainHTTP: true,
	}
}

// Load reads every variable through lookup (os.LookupEnv). The error joins all faults, one line each: the
// variable, what is wrong, what to write instead. No fault shows a secret's value. A variable that is set and
// empty counts as not set, except KEYLESS_DATA (in memory only) and KEYLESS_TRUSTED_PROXIES (nobody).
func Load(lookup func(string) (string, bool), defaults Defaults) (Config, error) {
	e := &environment{lookup: lookup}
	c := Config{
		RedisURL:         e.redisURL(),
		TokenURL:         e.baseURL("KEYLESS_TOKEN_URL", urlRule{path: true, plainHTTP: defaults.PlainHTTP}),
		Addr:             e.address("KEYLESS_ADDR", defaults.Addr),
		AdminAddr:        e.address("KEYLESS_ADMIN_ADDR", ""),
		TLSCert:          e.text("KEYLESS_TLS_CERT"),
		TLSKey:           e.text("KEYLESS_TLS_KEY"),
		ConfigFile:       e.text("KEYLESS_CONFIG"),
		MasterKey:        Secret(e.text("KEYLESS_MASTER_KEY")),
		SigningMasterKey: Secret(e.text("KEYLESS_SIGNING_MASTER_KEY")),
		AdminToken:       e.adminToken(),
		ConsoleOIDC:      e.consoleOIDC(),
		StoreFailure:     e.oneOf("KEYLESS_STORE_FAILURE", "closed", "closed", "open"),
		Runtime:          e.oneOf("KEYLESS_RUNTIME", "", "lambda", "fc-event", "http"),
		ResponseStream:   e.oneOf("KEYLESS_RESPONSE_MODE", "buffered", "buffered", "stream") == "stream",
		TrustedProxies:   e.proxies("KEYLESS_TRUSTED_PROXIES", defaults.TrustedProxies),
		Region:           e.text("KEYLESS_REGION"),
		Cell:             e.cell(),
	}
	c.LogFormat, c.LogLevel = e.log(defaults.LogFormat)
	c.Data, c.DataSet = e.data(defaults.Data)
	c.PublicURL, c.PublicURLSet = e.publicURL(defaults, c)
	c.AllowPrivateURLs, c.AllowLoopbackURLs = e.allowURLs(defaults.Addr != "" && isLoopback(c.Addr))
	if c.SigningMasterKey == "" {
		c.SigningMasterKey = c.MasterKey
	}
	e.together(c, defaults)
	return c, errors.Join(e.faults...)
}

// together checks what no variable can be blamed for alone.
func (e *environment) together(c Config, defaults Defaults) {
	for _, name := range defaults.Required {
		if value, _ := e.lookup(name); value == "" {
			e.fault(name, "is required and not set", meaningOf(name))
		}
	}
	const master = "KEYLESS_MASTER_KEY"
	key, _ := e.lookup(master)
	if c.RedisURL != "" && key == "" && !slices.Contains(defaults.Required, master) {
		e.fault(master, "is required together with REDIS_URL",
			"write base64 of 32 random bytes, the same for every process on this store")
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		e.fault("KEYLESS_TLS_CERT", "and KEYLESS_TLS_KEY belong together", "set both or neither")
	}
	if c.AdminAddr != "" && c.AdminAddr == c.Addr {
		e.fault("KEYLESS_ADMIN_ADDR", "is the address of KEYLESS_ADDR", "write another port, or leave it out")
	}
}
