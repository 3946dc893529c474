package registry

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestParseEndpoint(t *testing.T) {
	t.Parallel()
	sentinels := []string{"a:26379", "b:7"}
	tests := map[string]struct {
		url  string
		want endpoint
	}{
		"host alone":           {"redis://localhost", endpoint{nodes: []string{"localhost:6379"}}},
		"host, port and slash": {"redis://h:7/", endpoint{nodes: []string{"h:7"}}},
		"database":             {"redis://h:7/15", endpoint{nodes: []string{"h:7"}, db: 15}},
		"white space around":   {" redis://h:7\n", endpoint{nodes: []string{"h:7"}}},
		"TLS":                  {"rediss://h:7", endpoint{nodes: []string{"h:7"}, secure: true}},
		"password":             {"redis://:pw@h:7", endpoint{nodes: []string{"h:7"}, password: "pw"}},
		"user and password": {
			"redis://u:pw@h:7", endpoint{nodes: []string{"h:7"}, username: "u", password: "pw"},
		},
		"escaped password": {"redis://:p%2F%40%3Aw@h:7", endpoint{nodes: []string{"h:7"}, password: "p/@:w"}},
		"password with @":  {"redis://:p@w@h:7", endpoint{nodes: []string{"h:7"}, password: "p@w"}},
		"password with a colon": {
			"redis://u:p:w@h:7", endpoint{nodes: []string{"h:7"}, username: "u", password: "p:w"},
		},
		"IPv6":              {"redis://[::1]:7", endpoint{nodes: []string{"[::1]:7"}}},
		"IPv6 without port": {"redis://[::1]", endpoint{nodes: []string{"[::1]:6379"}}},
		"cluster": {
			"redis+cluster://a,b:7", endpoint{nodes: []string{"a:6379", "b:7"}, cluster: true},
		},
		"cluster of one address": {"redis+cluster://a:7", endpoint{nodes: []string{"a:7"}, cluster: true}},
		"cluster with TLS": {"rediss+cluster://:pw@a:7",
			endpoint{nodes: []string{"a:7"}, cluster: true, secure: true, password: "pw"}},
		"Sentinel": {"redis+sentinel://a,b:7/main", endpoint{nodes: sentinels, master: "main"}},
		"Sentinel with database": {
			"redis+sentinel://a,b:7/main/2", endpoint{nodes: sentinels, master: "main", db: 2},
		},
		"Sentinel with all": {"rediss+sentinel://u:pw@a,b:7/main/2", endpoint{nodes: sentinels,
			master: "main", db: 2,
			secure: true, username: "u", password: "pw"}},
	}
	for name, test := range tests {
		got, err := parseEndpoint(test.url)
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, test.want)
		}
	}
}

func TestParseEndpointRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		url  string
		want error
	}{
		"nothing":                      {"", errScheme},
		"no scheme":                    {"hunter2@h:7", errScheme},
		"another scheme":               {"http://:hunter2@h:7", errScheme},
		"a scheme that continues":      {"redisx://:hunter2@h:7", errScheme},
		"TLS twice":                    {"redisss://:hunter2@h:7", errScheme},
		"scheme in capitals":           {"REDIS://:hunter2@h:7", errScheme},
		"two hosts without cluster":    {"redis://:hunter2@a:7,b:7", errNodes},
		"no host":                      {"redis://:hunter2@", errNodes},
		"a port alone":                 {"redis://:hunter2@:7", errNodes},
		"port zero":                    {"redis://:hunter2@h:0", errNodes},
		"port too large":               {"redis://:hunter2@h:65536", errNodes},
		"a port that is no number":     {"redis://:hunter2@h:x", errNodes},
		"an empty host in a list":      {"redis+cluster://:hunter2@a:7,,b:7", errNodes},
		"a comma at the end":           {"redis+cluster://:hunter2@a:7,", errNodes},
		"IPv6 without brackets":        {"redis://:hunter2@::1", errNodes},
		"a bad escape in the password": {"redis://:hunter2%zz@h:7", errUserinfo},
		"a slash in the password":      {"redis://:hunter2/x@h:7", errNodes},
		"a name as database":           {"redis://:hunter2@h:7/x", errPath},
		"a negative database":          {"redis://:hunter2@h:7/-1", errPath},
		"a database too large":         {"redis://:hunter2@h:7/1024", errPath},
		"a deeper path":                {"redis://:hunter2@h:7/1/2", errPath},
		"a database of a cluster":      {"redis+cluster://:hunter2@h:7/1", errPath},
		"Sentinel without master":      {"redis+sentinel://:hunter2@h:7", errPath},
		"Sentinel, empty master":       {"redis+sentinel://:hunter2@h:7//1", errPath},
		"a query":                      {"redis://:hunter2@h:7?db=1", errExtra},
		"a fragment":                   {"redis://:hunter2@h:7#x", errExtra},
	}
	for name, test := range tests {
		got, err := parseEndpoint(test.url)
		if err != test.want { // the sentinel itself is the contract
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
		if strings.Contains(fmt.Sprint(err), "hunter2") || !reflect.DeepEqual(got, endpoint{}) {
			t.Errorf("%s: the refusal holds something of the URL", name)
		}
	}
}
