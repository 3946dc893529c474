package command

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"keyless/shared/admin"
)

const marker = "MARKER"

// asked is a question in short: headers as "Name: value" lines in order, but for curl's Accept: */*.
type asked struct {
	method, url string
	headers     []string
	body        string // "-": none
}

func inShort(q admin.Question) asked {
	a := asked{method: q.Method, url: q.URL, body: "-"}
	for name, values := range q.Headers {
		for _, value := range values {
			if line := name + ": " + value; line != "Accept: */*" {
				a.headers = append(a.headers, line)
			}
		}
	}
	slices.Sort(a.headers)
	if q.Body != nil {
		a.body = *q.Body
	}
	return a
}

func TestACurlCommandIsTheRequestThatCurlSends(t *testing.T) {
	t.Parallel()
	const form = "Content-Type: application/x-www-form-urlencoded"
	for name, c := range map[string]struct {
		text string
		want asked
	}{
		"a URL":                       {`curl https://h/v1`, asked{"GET", "https://h/v1", nil, "-"}},
		"a URL without a scheme":      {`curl h/v1`, asked{"GET", "http://h/v1", nil, "-"}},
		"--url":                       {`curl --url https://h/v1`, asked{"GET", "https://h/v1", nil, "-"}},
		"behind --":                   {`curl -s -- https://h/v1`, asked{"GET", "https://h/v1", nil, "-"}},
		"headers":                     {`curl https://h -H 'Authorization: Bearer a.b.c' --header "x:  y "`, asked{"GET", "https://h", []string{"Authorization: Bearer a.b.c", "X: y"}, "-"}},
		"a header that is removed":    {`curl https://h -d a -H 'content-type:'`, asked{"POST", "https://h", nil, "a"}},
		"a header that is empty":      {`curl https://h -H 'X-A;'`, asked{"GET", "https://h", []string{"X-A: "}, "-"}},
		"a header twice":              {`curl https://h -H 'X-A: 1' -H 'X-A: 2'`, asked{"GET", "https://h", []string{"X-A: 1", "X-A: 2"}, "-"}},
		"a method":                    {`curl -X DELETE https://h`, asked{"DELETE", "https://h", nil, "-"}},
		"a method at its letter":      {`curl -XPUT https://h -dx`, asked{"PUT", "https://h", []string{form}, "x"}},
		"letters together":            {`curl -sSiNXPATCH https://h`, asked{"PATCH", "https://h", nil, "-"}},
		"data":                        {`curl https://h -d a=1 --data b=2`, asked{"POST", "https://h", []string{form}, "a=1&b=2"}},
		"raw data":                    {`curl https://h --data-raw '@a'`, asked{"POST", "https://h", []string{form}, "@a"}},
		"binary data":                 {`curl https://h --data-binary '{}' -H 'Content-Type: application/json'`, asked{"POST", "https://h", []string{"Content-Type: application/json"}, "{}"}},
		"encoded data":                {`curl https://h --data-urlencode 'scope=a|b c' --data-urlencode =x+y --data-urlencode 'p q'`, asked{"POST", "https://h", []string{form}, "scope=a%7Cb%20c&x%2By&p%20q"}},
		"empty data":                  {`curl https://h -d ''`, asked{"POST", "https://h", []string{form}, ""}},
		"--json":                      {`curl https://h --json '{"a":1}'`, asked{"POST", "https://h", []string{"Accept: application/json", "Content-Type: application/json"}, `{"a":1}`}},
		"-G":                          {`curl -G https://h/a -d x=1 -d y=2`, asked{"GET", "https://h/a?x=1&y=2", nil, "-"}},
		"-G behind a query":           {`curl -G 'https://h/a?b=c#f' -d x=1`, asked{"GET", "https://h/a?b=c&x=1", nil, "-"}},
		"-I":                          {`curl -I https://h`, asked{"HEAD", "https://h", nil, "-"}},
		"a user":                      {`curl -u a:b https://h`, asked{"GET", "https://h", []string{"Authorization: Basic YTpi"}, "-"}},
		"a user in the URL":           {`curl https://a:b%40c@h/x`, asked{"GET", "https://h/x", []string{"Authorization: Basic YTpiQGM="}, "-"}},
		"a user, and a header":        {`curl -u a:b https://h -H 'Authorization: Bearer x'`, asked{"GET", "https://h", []string{"Authorization: Bearer x"}, "-"}},
		"--oauth2-bearer":             {`curl --oauth2-bearer x https://h`, asked{"GET", "https://h", []string{"Authorization: Bearer x"}, "-"}},
		"cookies":                     {`curl -b a=1 --cookie 'b=2; c=3' https://h`, asked{"GET", "https://h", []string{"Cookie: a=1; b=2; c=3"}, "-"}},
		"agent and referer":           {`curl -A me -e https://r https://h`, asked{"GET", "https://h", []string{"Referer: https://r", "User-Agent: me"}, "-"}},
		"dot segments":                {`curl https://h/a/../b/./c?d=../e`, asked{"GET", "https://h/b/c?d=../e", nil, "-"}},
		"dot segments as they are":    {`curl --path-as-is https://h/a/../b`, asked{"GET", "https://h/a/../b", nil, "-"}},
		"what only changes output":    {`curl -sS -o /dev/null -w '%{http_code}' --compressed -k -L -m 5 --retry 3 https://h`, asked{"GET", "https://h", nil, "-"}},
		"lines that go on":            {"curl 'https://h/v1' \\\n  -H 'X-A: 1' \\\r\n  -d \"{\\\"a\\\":\\\"b\\\"}\"\n", asked{"POST", "https://h/v1", []string{form, "X-A: 1"}, `{"a":"b"}`}},
		"a quote within one":          {`curl https://h -d 'it'\''s'`, asked{"POST", "https://h", []string{form}, "it's"}},
		"a browser's copy":            {`curl 'https://h' --data-raw $'{"a":"it\'s\u0021\n\x41"}'`, asked{"POST", "https://h", []string{form}, "{\"a\":\"it's!\nA\"}"}},
		"a pipe behind it":            {`curl https://h | jq .`, asked{"GET", "https://h", nil, "-"}},
		"a dollar that is none":       {`curl https://h -d 'a$b' -d "5$" -d c$`, asked{"POST", "https://h", []string{form}, "a$b&5$&c$"}},
		"parts of a word in quotes":   {`curl "https://h"/a'b'`, asked{"GET", "https://h/ab", nil, "-"}},
		"an escaped space":            {`curl https://h -d a\ b`, asked{"POST", "https://h", []string{form}, "a b"}},
		"an escaped quote in doubles": {`curl https://h -d "\"\\\x"`, asked{"POST", "https://h", []string{form}, `"\\x`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			words, err := shellWords(c.text)
			if err != nil || len(words) == 0 || words[0] != "curl" {
				t.Fatalf("words %q, %v", words, err)
			}
			q, err := parseCurl(words[1:])
			if err != nil {
				t.Fatal(err)
			}
			if got := inShort(q); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestWhatExplainCannotReadOfACurlCommandIsSaid(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, says string }{
		"an unknown flag":               {`curl --upload https://h`, "--upload"},
		"an unknown letter":             {`curl -sF a=` + marker + ` https://h`, "-F"},
		"a value at a long flag":        {`curl --header=` + marker + ` https://h`, "--header;"},
		"no URL":                        {`curl -s`, "one URL"},
		"two URLs":                      {`curl https://h https://` + marker, "one URL"},
		"a flag without its value":      {`curl https://h -H`, "-H wants a value"},
		"data from a file":              {`curl https://h -d @` + marker, "reads no files"},
		"encoded data from a file":      {`curl https://h --data-urlencode a@` + marker, "reads no files"},
		"a document from a file":        {`curl https://h --json @` + marker, "reads no files"},
		"headers from a file":           {`curl https://h -H @` + marker, "reads no files"},
		"cookies from a file":           {`curl https://h -b ` + marker, "cookie files"},
		"a variable":                    {`curl https://h -H "Authorization: Bearer $TOKEN"`, "$TOKEN"},
		"a variable in braces":          {`curl https://h/${NAME}/` + marker, "$NAME"},
		"a substitution":                {`curl https://h -d $(cat ` + marker + `)`, "substitution"},
		"another substitution":          {"curl https://h -d `cat " + marker + "`", "substitution"},
		"a quote that is not closed":    {`curl https://h -d '` + marker, "not closed"},
		"another":                       {`curl https://h -d "` + marker, "not closed"},
		"a third":                       {`curl https://h -d $'` + marker, "not closed"},
		"an escape that is unknown":     {`curl https://h -d $'\q` + marker + `'`, "escape"},
		"an escape that is cut":         {`curl https://h -d $'\u00'`, "escape"},
		"a backslash at the end":        {`curl https://h \`, "backslash"},
		"a second command":              {`curl https://h && rm ` + marker, "'&'"},
		"a query outside quotes":        {`curl https://h/?a=b&c=` + marker, "quote URLs"},
		"a redirection":                 {`curl https://h > ` + marker, "'>'"},
		"a user that does not decode":   {`curl https://a%zz:` + marker + `@h`, "decoded"},
		"a control character in a flag": {"curl --\x1b[31m https://h", "--"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			words, err := shellWords(c.text)
			if err == nil {
				_, err = parseCurl(words[1:])
			}
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(err.Error(), marker) || strings.Contains(err.Error(), "\x1b") {
				t.Errorf("the error tells a value: %v", err)
			}
		})
	}
}

func FuzzCurl(f *testing.F) {
	for _, seed := range []string{
		`curl 'https://h/v1' -H 'Authorization: Bearer a.b.c' -d '{"a":1}'`, "curl -sSXPOST h \\\n -u a:b", `curl $'a\u0041\x41' "b\"" c\ d`,
		`curl -G h --data-urlencode 'a=b c' | jq`, `curl https://a:b@h/../x`, `curl "$X"`, "curl \\", `curl -`, `curl -é x`, `curl $'\`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		words, err := shellWords(text)
		if err != nil || len(words) == 0 {
			return
		}
		total := 0
		for _, word := range words {
			total += len(word)
		}
		if utf8.ValidString(text) && total > 2*len(text) {
			t.Errorf("%d bytes became %d", len(text), total)
		}
		if q, err := parseCurl(words[1:]); err == nil && (q.URL == "" || q.Method == "" && !slices.Contains(words, "-X") && !slices.Contains(words, "--request")) {
			t.Errorf("a question without url or method: %+v", q)
		}
	})
}
