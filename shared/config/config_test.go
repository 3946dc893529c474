package config_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"keyless/shared/config"
)

// env is a lookup that also remembers what was asked for.
type env map[string]string

func (e env) lookup(name string) (string, bool) {
	value, set := e[name]
	return value, set
}

const (
	masterKey = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	redisURL  = "rediss://user:canary-password@store.example:6380/0"
)

func functionEnv(more env) env {
	all := env{"REDIS_URL": redisURL, "KEYLESS_MASTER_KEY": masterKey}
	for name, value := range more {
		all[name] = value
	}
	return all
}

func TestServeNeedsNothing(t *testing.T) {
	t.Parallel()
	got, err := config.Load(env{}.lookup, config.Serve())
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{
		PublicURL: "http://127.0.0.1:8080", Addr: "127.0.0.1:8080", Data: ".keyless", StoreFailure: "closed",
		TrustedProxies: config.Loopback(), AllowLoopbackURLs: true, LogFormat: "text", LogLevel: "info", Cell: "kg",
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
}

func TestFunctionIsStrict(t *testing.T) {
	t.Parallel()
	got, err := config.Load(functionEnv(nil).lookup, config.Function())
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{
		RedisURL: redisURL, MasterKey: masterKey, SigningMasterKey: masterKey, StoreFailure: "closed",
		LogFormat: "json", LogLevel: "info", Cell: "kg",
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
}

func TestEverythingSet(t *testing.T) {
	t.Parallel()
	all := functionEnv(env{
		"KEYLESS_PUBLIC_URL": "https://id.acme.example", "KEYLESS_TOKEN_URL": "https://t.acme.example/prod",
		"KEYLESS_ADDR": "0.0.0.0:443", "KEYLESS_TLS_CERT": "c.pem", "KEYLESS_TLS_KEY": "k.pem",
		"KEYLESS_ADMIN_ADDR": "127.0.0.1:8081", "KEYLESS_DATA": "", "KEYLESS_CONFIG": "gateway.yaml",
		"KEYLESS_SIGNING_MASTER_KEY": "signing", "KEYLESS_ADMIN_TOKEN": "0123456789abcdef",
		"KEYLESS_STORE_FAILURE": "closed", "KEYLESS_RUNTIME": "fc-event", "KEYLESS_RESPONSE_MODE": "stream",
		"KEYLESS_TRUSTED_PROXIES": "", "KEYLESS_ALLOW_PRIVATE_URLS": "true", "KEYLESS_REGION": "eu",
		"KEYLESS_LOG": "text,debug", "KEYLESS_CELL": "blue",
		"KEYLESS_CONSOLE_OIDC_ISSUER": "https://login.example", "KEYLESS_CONSOLE_OIDC_CLIENT_ID": "console",
		"KEYLESS_CONSOLE_OIDC_CLIENT_SECRET": "canary", "KEYLESS_CONSOLE_OIDC_SCOPE": "openid", "KEYLESS_CONSOLE_OIDC_CLAIM": "sub",
		"KEYLESS_CONSOLE_OIDC_ADMINS": "a, b", "KEYLESS_CONSOLE_OIDC_READERS": "c",
	})
	asked := map[string]bool{}
	got, err := config.Load(func(name string) (string, bool) {
		asked[name] = true
		return all.lookup(name)
	}, config.Serve())
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{
		RedisURL: redisURL, PublicURL: "https://id.acme.example", PublicURLSet: true,
		TokenURL: "https://t.acme.example/prod", Addr: "0.0.0.0:443", TLSCert: "c.pem", TLSKey: "k.pem",
		AdminAddr: "127.0.0.1:8081", DataSet: true, ConfigFile: "gateway.yaml", MasterKey: masterKey,
		SigningMasterKey: "signing", AdminToken: "0123456789abcdef", StoreFailure: "closed", Runtime: "fc-event",
		ResponseStream: true, AllowPrivateURLs: true, AllowLoopbackURLs: true, Region: "eu", LogFormat: "text",
		LogLevel: "debug", Cell: "blue",
		ConsoleOIDC: config.ConsoleOIDC{
			Issuer: "https://login.example", ClientID: "console", ClientSecret: "canary", Scope: "openid", Claim: "sub",
			Admins: []string{"a", "b"}, Readers: []string{"c"},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
	for _, variable := range config.Variables() {
		if _, set := all[variable.Name]; !set || !asked[variable.Name] {
			t.Errorf("%s is listed, and read: %v", variable.Name, asked[variable.Name])
		}
		if variable.Meaning == "" {
			t.Errorf("%s has no meaning", variable.Name)
		}
		delete(asked, variable.Name)
	}
	if len(asked) != 0 {
		t.Errorf("read, but not listed: %v", asked)
	}
}

// faults: each row is one variable that is wrong by one thing, and what the fault says.
var faults = map[string]struct{ name, value, want string }{
	"a store of another kind":       {"REDIS_URL", "http://canary-password@h", "another scheme"},
	"a provider without a client":   {"KEYLESS_CONSOLE_OIDC_ISSUER", "https://login.example", "is set without KEYLESS_CONSOLE_OIDC_CLIENT_ID"},
	"a provider without TLS":        {"KEYLESS_CONSOLE_OIDC_ISSUER", "http://login.example", "is no https URL"},
	"a client without a provider":   {"KEYLESS_CONSOLE_OIDC_CLIENT_ID", "console", "is set without KEYLESS_CONSOLE_OIDC_ISSUER"},
	"a store without host":          {"REDIS_URL", "redis://", "names no host"},
	"a store URL that is none":      {"REDIS_URL", "redis://u:canary-password%zz@h", "is not a URL"},
	"a key with a line end":         {"KEYLESS_MASTER_KEY", "canary-password\n", "white space around it"},
	"a public URL with a path":      {"KEYLESS_PUBLIC_URL", "https://a.example/x", "has a path"},
	"a public URL with a slash":     {"KEYLESS_PUBLIC_URL", "https://a.example/", "ends in a slash"},
	"a public URL with a query":     {"KEYLESS_PUBLIC_URL", "https://a.example?", "has a query or a fragment"},
	"a public URL with a fragment":  {"KEYLESS_PUBLIC_URL", "https://a.example#", "has a query or a fragment"},
	"a public URL with a user":      {"KEYLESS_PUBLIC_URL", "https://u:canary-password@a", "a user name in it"},
	"a public URL in upper case":    {"KEYLESS_PUBLIC_URL", "https://A.example", "lower-case ASCII"},
	"a public URL with port 443":    {"KEYLESS_PUBLIC_URL", "https://a.example:443", "its scheme's own port"},
	"a public URL with port 0":      {"KEYLESS_PUBLIC_URL", "https://a.example:0", "or none that exists"},
	"a public URL without host":     {"KEYLESS_PUBLIC_URL", "https://", "ends in a slash"},
	"a public URL without scheme":   {"KEYLESS_PUBLIC_URL", "a.example", "does not begin with https://"},
	"a public URL of another kind":  {"KEYLESS_PUBLIC_URL", "ftp://a.example", "does not begin with https://"},
	"a public URL in clear text":    {"KEYLESS_PUBLIC_URL", "http://a.example", "sends tokens in clear text"},
	"a token URL with a slash":      {"KEYLESS_TOKEN_URL", "https://a.example/x/", "ends in a slash"},
	"a token URL with dots":         {"KEYLESS_TOKEN_URL", "https://a.example/../x", "not canonical"},
	"an address without port":       {"KEYLESS_ADDR", "127.0.0.1", "write host:port"},
	"an address with a far port":    {"KEYLESS_ADDR", "127.0.0.1:65536", "write host:port"},
	"an address that is a URL":      {"KEYLESS_ADDR", "http://127.0.0.1:80", "write host:port"},
	"an admin address by name":      {"KEYLESS_ADMIN_ADDR", "127.0.0.1:http", "write host:port"},
	"a certificate alone":           {"KEYLESS_TLS_CERT", "c.pem", "belong together: set both or neither"},
	"a TLS key alone":               {"KEYLESS_TLS_KEY", "k.pem", "belong together: set both or neither"},
	"an admin token that is short":  {"KEYLESS_ADMIN_TOKEN", "canary-password", "at least 16 random"},
	"an admin token with a space":   {"KEYLESS_ADMIN_TOKEN", "canary-password with", "a bearer cannot have"},
	"a third store failure":         {"KEYLESS_STORE_FAILURE", "Open", `is "Open": write closed or open`},
	"an unknown runtime":            {"KEYLESS_RUNTIME", "fc", "write lambda or fc-event or http"},
	"an unknown response mode":      {"KEYLESS_RESPONSE_MODE", "streaming", "write buffered or stream"},
	"a proxy that is an address":    {"KEYLESS_TRUSTED_PROXIES", "10.0.0.1", `"10.0.0.1": write 10.0.0.1/32`},
	"a proxy with host bits":        {"KEYLESS_TRUSTED_PROXIES", "10.1.2.3/8", "write 10.0.0.0/8"},
	"a proxy that is a name":        {"KEYLESS_TRUSTED_PROXIES", "::1/128,lb.example", `has "lb.example"`},
	"a proxy list with a gap":       {"KEYLESS_TRUSTED_PROXIES", "::1/128,", `has ""`},
	"too many proxies":              {"KEYLESS_TRUSTED_PROXIES", strings.Repeat(",", 256), "write at most 256"},
	"a switch that is yes":          {"KEYLESS_ALLOW_PRIVATE_URLS", "yes", "write false or true"},
	"a log without format":          {"KEYLESS_LOG", "debug", "write json or text"},
	"a log with an unknown level":   {"KEYLESS_LOG", "json,trace", "write json or text"},
	"a log with two levels":         {"KEYLESS_LOG", "json,info,debug", "write json or text"},
	"a cell with a colon":           {"KEYLESS_CELL", "kg:", "write up to 32"},
	"a cell with a brace":           {"KEYLESS_CELL", "{kg}", "write up to 32"},
	"a region with white space":     {"KEYLESS_REGION", " eu", "write the value alone"},
	"a store that is missing":       {"REDIS_URL", "", "is required and not set: write redis://"},
	"a master key that is missing":  {"KEYLESS_MASTER_KEY", "", "is required and not set: write base64"},
	"a file with a line end inside": {"KEYLESS_CONFIG", "a\nb", "a line end in it"},
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for name, test := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(functionEnv(env{test.name: test.value}).lookup, config.Function())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want %q", err, test.want)
			}
			if lines := strings.Split(err.Error(), "\n"); len(lines) != 1 ||
				!strings.HasPrefix(lines[0], "KEYLESS_TLS_CERT") && !strings.HasPrefix(lines[0], test.name+" ") {
				t.Errorf("want one fault that begins with %s, got %q", test.name, lines)
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("the fault shows a secret: %v", err)
			}
		})
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	bad := env{"KEYLESS_RUNTIME": "x", "KEYLESS_CELL": "X", "KEYLESS_LOG": "x", "KEYLESS_ADDR": "x"}
	_, err := config.Load(bad.lookup, config.Function())
	if err == nil {
		t.Fatal("no fault")
	}
	names := []string{}
	for line := range strings.Lines(err.Error()) {
		name, _, _ := strings.Cut(line, " ")
		names = append(names, name)
	}
	slices.Sort(names)
	want := []string{
		"KEYLESS_ADDR", "KEYLESS_CELL", "KEYLESS_LOG", "KEYLESS_MASTER_KEY", "KEYLESS_RUNTIME", "REDIS_URL",
	}
	if !slices.Equal(names, want) {
		t.Fatalf("got %v, want %v", names, want)
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	tls, public := env{"KEYLESS_TLS_CERT": "c", "KEYLESS_TLS_KEY": "k"}, "KEYLESS_PUBLIC_URL"
	const own, ownTLS = "http://127.0.0.1:8080", "https://127.0.0.1:8080"
	tests := map[string]struct {
		env      env
		want     string // the public URL, or a part of the fault
		fault    bool
		loopback bool
	}{
		"another port":             {env{"KEYLESS_ADDR": "127.0.0.1:9"}, "http://127.0.0.1:9", false, true},
		"IPv6":                     {env{"KEYLESS_ADDR": "[::1]:9"}, "http://[::1]:9", false, true},
		"the scheme's own port":    {env{"KEYLESS_ADDR": "[::1]:80"}, "http://[::1]", false, true},
		"every address":            {env{"KEYLESS_ADDR": ":9"}, "http://127.0.0.1:9", false, false},
		"every IPv6 address":       {env{"KEYLESS_ADDR": "[::]:9"}, "http://127.0.0.1:9", false, false},
		"loopback URLs forbidden":  {env{"KEYLESS_ALLOW_PRIVATE_URLS": "false"}, own, false, false},
		"TLS":                      {tls, ownTLS, false, true},
		"a plain public URL":       {env{public: "http://gw.local:80801"}, "or none that exists", true, false},
		"a plain public host":      {env{public: "http://gw.local:8080"}, "http://gw.local:8080", false, true},
		"Redis without master key": {env{"REDIS_URL": redisURL}, "together with REDIS_URL", true, false},
		"one address for two":      {env{"KEYLESS_ADMIN_ADDR": "127.0.0.1:8080"}, "the address of", true, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := config.Load(test.env.lookup, config.Serve())
			if test.fault {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Fatalf("error %v, want %q", err, test.want)
				}
				return
			}
			if err != nil || got.PublicURL != test.want || got.AllowLoopbackURLs != test.loopback {
				t.Fatalf("%q, loopback %v, error %v", got.PublicURL, got.AllowLoopbackURLs, err)
			}
		})
	}
}

func TestFunctionOnLoopback(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"http://127.0.0.1:9000", "http://[::1]:9000", "http://localhost:9000"} {
		got, err := config.Load(functionEnv(env{"KEYLESS_PUBLIC_URL": url}).lookup, config.Function())
		if err != nil || got.PublicURL != url || got.AllowLoopbackURLs {
			t.Errorf("%s: %q, loopback %v, error %v", url, got.PublicURL, got.AllowLoopbackURLs, err)
		}
	}
}
