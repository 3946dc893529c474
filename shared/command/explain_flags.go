package command

import (
	"errors"
	"net/url"
	"strings"
)

// curlFlags are the flags of curl that say what is sent, and those that do not matter to it.
var curlFlags = curlTable()

func curlTable() map[string]curlFlag {
	table := map[string]curlFlag{}
	add := func(valued bool, take func(*curl, string) error, names ...string) {
		for _, name := range names {
			table[name] = curlFlag{valued, take}
		}
	}
	text := func(to func(*curl) *string) func(*curl, string) error {
		return func(c *curl, value string) error { *to(c) = value; return nil }
	}
	truth := func(to func(*curl) *bool) func(*curl, string) error {
		return func(c *curl, _ string) error { *to(c) = true; return nil }
	}
	add(true, text(func(c *curl) *string { return &c.method }), "-X", "--request")
	add(true, text(func(c *curl) *string { return &c.agent }), "-A", "--user-agent")
	add(true, text(func(c *curl) *string { return &c.referer }), "-e", "--referer")
	add(true, (*curl).target, "--url")
	add(true, takeHeader, "-H", "--header")
	add(true, takeData, "-d", "--data", "--data-ascii", "--data-binary")
	add(true, takeRaw, "--data-raw")
	add(true, takeEncoded, "--data-urlencode")
	add(true, takeDocument, "--json")
	add(true, takeCookie, "-b", "--cookie")
	add(true, func(c *curl, v string) error { c.user = &v; return nil }, "-u", "--user")
	add(true, func(c *curl, v string) error { c.bearer = &v; return nil }, "--oauth2-bearer")
	add(false, truth(func(c *curl) *bool { return &c.get }), "-G", "--get")
	add(false, truth(func(c *curl) *bool { return &c.head }), "-I", "--head")
	add(false, truth(func(c *curl) *bool { return &c.pathAsIs }), "--path-as-is")

	nothing := func(*curl, string) error { return nil }
	add(false, nothing, strings.Fields(`-s --silent -S --show-error -i --include --show-headers -N --no-buffer -v --verbose
		-L --location -k --insecure -f --fail --fail-with-body -# --progress-bar --no-progress-meter -g --globoff --compressed
		-4 --ipv4 -6 --ipv6 -0 --http1.0 --http1.1 --http2 --http2-prior-knowledge --http3 --basic --tlsv1.2 --tlsv1.3
		-O --remote-name -J --remote-header-name --no-keepalive --tcp-nodelay`)...)
	add(true, nothing, strings.Fields(`-o --output -w --write-out -m --max-time --connect-timeout --retry --retry-delay
		--retry-max-time -D --dump-header --stderr --trace --trace-ascii --cacert --capath -E --cert --key --resolve --connect-to
		--limit-rate -c --cookie-jar -x --proxy --noproxy --interface`)...)
	return table
}

var errFile = errors.New("explain reads no files for a curl command: write the value itself in place of @FILE")

func takeHeader(c *curl, line string) error {
	if strings.HasPrefix(line, "@") {
		return errFile
	}
	c.custom = append(c.custom, line)
	return nil
}

func takeData(c *curl, value string) error {
	if strings.HasPrefix(value, "@") {
		return errFile
	}
	return takeRaw(c, value)
}

func takeRaw(c *curl, value string) error {
	c.data, c.hasBody = append(c.data, value), true
	return nil
}

// takeEncoded reads CONTENT, =CONTENT and NAME=CONTENT, and encodes the content as curl does: RFC 3986's unreserved characters stay.
func takeEncoded(c *curl, value string) error {
	encode := func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
	name, content, named := strings.Cut(value, "=")
	switch {
	case strings.Contains(name, "@"):
		return errFile
	case !named:
		return takeRaw(c, encode(value))
	case name == "":
		return takeRaw(c, encode(content))
	}
	return takeRaw(c, name+"="+encode(content))
}

func takeDocument(c *curl, value string) error {
	if strings.HasPrefix(value, "@") {
		return errFile
	}
	c.document, c.hasBody = append(c.document, value), true
	return nil
}

func takeCookie(c *curl, value string) error {
	if !strings.Contains(value, "=") {
		return errors.New("explain reads no cookie files: write the cookies as name=value")
	}
	c.cookies = append(c.cookies, value)
	return nil
}
