package config_test

import (
	"net/http"
	"strings"
	"testing"

	"keyless/shared/config"
)

func proxies(t *testing.T, list string) config.Proxies {
	t.Helper()
	c, err := config.Load(env{"KEYLESS_TRUSTED_PROXIES": list}.lookup, config.Serve())
	if err != nil {
		t.Fatal(err)
	}
	return c.TrustedProxies
}

func TestTrusts(t *testing.T) {
	t.Parallel()
	list := proxies(t, "10.0.0.0/8, fd00::/8,::ffff:192.168.1.0/120")
	tests := map[string]struct {
		remote string
		want   bool
	}{
		"address and port":        {"10.1.2.3:4", true},
		"address alone":           {"10.1.2.3", true},
		"the neighbour network":   {"11.1.2.3:4", false},
		"IPv4 in IPv6 form":       {"[::ffff:10.1.2.3]:4", true},
		"IPv6":                    {"[fd00::1]:4", true},
		"IPv6 without port":       {"fd00::1", true},
		"IPv6 in brackets alone":  {"[fd00::1]", true},
		"IPv6 with a zone":        {"[fd00::1%eth0]:4", true},
		"another IPv6":            {"[fe00::1]:4", false},
		"a mapped network":        {"192.168.1.9:4", true},
		"next to it":              {"192.168.2.9:4", false},
		"nothing":                 {"", false},
		"a name":                  {"localhost:4", false},
		"a Unix socket":           {"@", false},
		"an address and a letter": {"10.1.2.3x", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := list.Trusts(test.remote); got != test.want {
				t.Fatalf("%q: %v", test.remote, got)
			}
		})
	}
	if config.Proxies(nil).Trusts("127.0.0.1:1") {
		t.Error("nobody is trusted by an empty list")
	}
}

func TestClient(t *testing.T) {
	t.Parallel()
	list := proxies(t, "10.0.0.0/8,::1/128")
	tests := map[string]struct {
		remote    string
		forwarded []string
		want      string
	}{
		"no proxy":                       {"9.9.9.9:1", nil, "9.9.9.9"},
		"an untrusted peer's claim":      {"9.9.9.9:1", []string{"1.1.1.1"}, "9.9.9.9"},
		"behind one proxy":               {"10.0.0.1:1", []string{"9.9.9.9"}, "9.9.9.9"},
		"a forged entry further left":    {"10.0.0.1:1", []string{"6.6.6.6, 9.9.9.9"}, "9.9.9.9"},
		"behind two proxies":             {"10.0.0.1:1", []string{"6.6.6.6, 9.9.9.9, 10.0.0.2"}, "9.9.9.9"},
		"over several lines":             {"10.0.0.1:1", []string{"6.6.6.6", "9.9.9.9", "10.0.0.2"}, "9.9.9.9"},
		"all of them trusted":            {"10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		"an entry with port":             {"10.0.0.1:1", []string{"9.9.9.9:77"}, "9.9.9.9"},
		"an IPv6 entry":                  {"[::1]:1", []string{"[2001:DB8::1]:77"}, "2001:db8::1"},
		"a malformed entry":              {"10.0.0.1:1", []string{"9.9.9.9, unknown"}, "10.0.0.1"},
		"a malformed entry after a good": {"10.0.0.1:1", []string{"6.6.6.6, evil, 10.0.0.2"}, "10.0.0.2"},
		"an empty header":                {"10.0.0.1:1", []string{""}, "10.0.0.1"},
		"no header from a proxy":         {"10.0.0.1:1", nil, "10.0.0.1"},
		"the sixteenth entry is read": {"10.0.0.1:1",
			[]string{"6.6.6.6, 9.9.9.9" + strings.Repeat(", 10.0.0.2", 15)}, "9.9.9.9"},
		"the seventeenth is not": {"10.0.0.1:1",
			[]string{"9.9.9.9" + strings.Repeat(", 10.0.0.2", 16)}, "10.0.0.2"},
		"a peer without address": {"@", []string{"9.9.9.9"}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &http.Request{RemoteAddr: test.remote, Header: http.Header{"X-Forwarded-For": test.forwarded}}
			if got := list.Client(r); got != test.want {
				t.Fatalf("got %q, want %q", got, test.want)
			}
		})
	}
}
