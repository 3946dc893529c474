package proxy_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"keyless/shared/proxy"
)

// shout edits what begins with a.
func shout(name string, data []byte) ([]byte, error) {
	switch {
	case bytes.HasPrefix(data, []byte("a")):
		return bytes.ToUpper(data), nil
	case name == "broken":
		return nil, errors.New("broken")
	}
	return data, nil
}

// TestEventsAtAnySplit: what is edited is, whatever pieces it comes in, and all else stays as it is.
func TestEventsAtAnySplit(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ stream, want string }{
		"nothing to edit":             {"data: b\n\n: c\n\ndata: d\n\n", "data: b\n\n: c\n\ndata: d\n\n"},
		"one line":                    {"id: 1\ndata: abc\nretry: 2\n\ndata: b\n\n", "id: 1\ndata: ABC\nretry: 2\n\ndata: b\n\n"},
		"CRLF":                        {"event: x\r\ndata:abc\r\n\r\ndata: b\r\n\r\n", "event: x\r\ndata: ABC\r\n\r\ndata: b\r\n\r\n"},
		"CR alone":                    {"data: ab\rid: 1\r\rdata: ac\r\r", "data: AB\rid: 1\r\rdata: AC\r\r"},
		"several lines of data":       {"data: a\nid: 1\ndata:  b\n\n", "data: A\ndata:  B\nid: 1\n\n"},
		"a byte order mark":           {"\ufeffdata: ab\n\n", "data: AB\n\n"},
		"a mark that is not edited":   {"\ufeffdata: b\n\n", "\ufeffdata: b\n\n"},
		"empty data":                  {"data\n\ndata:\n\n", "data\n\ndata:\n\n"},
		"a comment of data":           {": data: abc\n\n", ": data: abc\n\n"},
		"the end is missing":          {"data: b\n\ndata: c", "data: b\n\ndata: c"},
		"the end of it is missing":    {"data: ab\n", "data: AB\n"},
		"blank lines":                 {"\n\r\n\r\rdata: ab\n\n\n\n", "\n\r\n\r\rdata: AB\n\n\n\n"},
		"a field that only begins so": {"database: a\n\n", "database: a\n\n"},
	} {
		for first := range len(row.stream) + 1 {
			for second := first; second <= len(row.stream); second++ {
				got, err := proxy.FeedEvents(shout, 100, false, row.stream[:first], row.stream[first:second], row.stream[second:])
				if got != row.want || err != nil {
					t.Fatalf("%s, split at %d and %d: %q, %v, want %q", name, first, second, got, err, row.want)
				}
			}
		}
	}
}

// TestEventsAreBounded: a longer one passes unedited, or breaks the stream where something may be hidden in it.
func TestEventsAreBounded(t *testing.T) {
	t.Parallel()
	fits, long := "data: a"+strings.Repeat("b", 91)+"\n\n", "data: a"+strings.Repeat("b", 92)+"\n\n"
	equal(t, "the bound itself", len(fits), 100)
	got, err := proxy.FeedEvents(shout, 100, true, fits)
	equal(t, "what fits", got, "data: "+strings.ToUpper(fits[6:]))
	equal(t, "no error", err, nil)
	got, err = proxy.FeedEvents(shout, 100, false, long, "data: ab\n\n")
	equal(t, "longer, passed", got, long+"data: AB\n\n")
	equal(t, "no error", err, nil)
	got, err = proxy.FeedEvents(shout, 100, true, "data: b\n\n", long)
	equal(t, "longer, where it must not pass", got, "data: b\n\n")
	equal(t, "an error", err != nil, true)
	got, err = proxy.FeedEvents(shout, 100, true, "event: broken\ndata: x\n\n")
	equal(t, "what cannot be edited", got, "")
	equal(t, "an error", err != nil, true)
}

// TestCutListStaysHidden: the beginning of a message that was cut tells nothing where tools are picked.
func TestCutListStaysHidden(t *testing.T) {
	t.Parallel()
	got, err := proxy.FeedEvents(shout, 100, true, "data: b\n\n", `data: {"result":{"tools":[{"name":"secret"`)
	equal(t, "what passes", got, "data: b\n\n")
	equal(t, "no error", err, nil)
}

// TestPickTools: what may not be seen is cut out, and no other byte changes.
func TestPickTools(t *testing.T) {
	t.Parallel()
	may := func(name string) bool { return strings.HasPrefix(name, "get-") || name == "echo" }
	for name, row := range map[string]struct{ text, want string }{ // want is "" where the message is unclear
		"all stay":                         {`{"result":{"tools":[{"name":"echo"} , {"name":"get-a"}]}}`, `{"result":{"tools":[{"name":"echo"} , {"name":"get-a"}]}}`},
		"the first":                        {`{"result":{"tools":[ {"name":"rm"}, {"name":"echo"} ]}}`, `{"result":{"tools":[ {"name":"echo"} ]}}`},
		"the last":                         {`{"result":{"tools":[{"name":"echo"} , {"name":"rm"}]}}`, `{"result":{"tools":[{"name":"echo"}]}}`},
		"in the middle":                    {`{"result":{"tools":[{"name":"echo"},{"name":"rm"},{"name":"rm"},{"name":"get-a"}]}}`, `{"result":{"tools":[{"name":"echo"},{"name":"get-a"}]}}`},
		"all":                              {`{"result":{"tools":[ {"name":"rm"},{"name":"kill"} ],"nextCursor":"2"},"id":8}`, `{"result":{"tools":[  ],"nextCursor":"2"},"id":8}`},
		"none there":                       {`{"result":{"tools":[ ]}}`, `{"result":{"tools":[ ]}}`},
		"a name in other letters of JSON":  {`{"result":{"tools":[{"\u006eame":"r\u006d"},{"name":"e\u0063ho"}]}}`, `{"result":{"tools":[{"name":"e\u0063ho"}]}}`},
		"members in other letters of JSON": {`{"r\u0065sult":{"\u0074ools":[{"name":"rm"}]}}`, `{"r\u0065sult":{"\u0074ools":[]}}`},
		"no name":                          {`{"result":{"tools":[{"title":"echo"},"echo",7,null,[{"name":"echo"}]]}}`, `{"result":{"tools":[]}}`},
		"a name that is no string":         {`{"result":{"tools":[{"name":["echo"]}]}}`, `{"result":{"tools":[]}}`},
		"two names":                        {`{"result":{"tools":[{"name":"echo","name":"rm"},{"name":"rm","name":"echo"}]}}`, ""},
		"two lists":                        {`{"result":{"tools":[{"name":"rm"}],"tools":[{"name":"rm"}]},"result":{"tools":[{"name":"rm"}]}}`, ""},
		"deep":                             {`{"result":{"tools":[{"name":"echo","inputSchema":{"name":"rm","a":[1,-2.5e3,true,null,"]}"]}}]}}`, `{"result":{"tools":[{"name":"echo","inputSchema":{"name":"rm","a":[1,-2.5e3,true,null,"]}"]}}]}}`},
		"a batch":                          {`[ {"id":8,"result":{"tools":[{"name":"rm"}]}} , {"id":7,"result":{"tools":[{"name":"rm"}]}},3]`, `[ {"id":8,"result":{"tools":[]}} , {"id":7,"result":{"tools":[]}},3]`},
		"the answer to another request":    {`{"result":{"tools":[{"name":"rm"}]},"id":"\u0078"}`, `{"result":{"tools":[]},"id":"\u0078"}`},
		"the answer to nobody's request":   {`{"result":{"tools":[{"name":"rm"}]},"id":99}`, `{"result":{"tools":[]},"id":99}`},
		"a list elsewhere":                 {`{"params":{"tools":[{"name":"rm"}]},"tools":[{"name":"rm"}],"result":{"a":{"tools":[{"name":"rm"}]}}}`, `{"params":{"tools":[{"name":"rm"}]},"tools":[{"name":"rm"}],"result":{"a":{"tools":[{"name":"rm"}]}}}`},
		"tools that are none":              {`{"result":{"tools":{"name":"rm"}}}`, `{"result":{"tools":{"name":"rm"}}}`},
		"a result that is none":            {`{"result":["tools"]}`, `{"result":["tools"]}`},
		"not JSON":                         {`{"result":{"tools":[`, ""},
		"not a number":                     {`{"result":{"tools":[{"name":"echo"}],"a":NaN}}`, ""},
		"not UTF-8":                        {"{\"result\":{\"to\xffols\":[]}}", ""},
		"two values":                       {`{},"x":{}`, ""},
		"a word of no JSON":                {`Accepted`, `Accepted`},
		"too long for a word":              {strings.Repeat("a", 65), ""},
		"nothing":                          {``, ``},
		"a word":                           {` "tools" `, ` "tools" `},
		"a number":                         {`12`, `12`},
	} {
		got, ok := proxy.PickTools(row.text, may)
		equal(t, name, got, row.want)
		equal(t, name+": clear", ok, row.want != "" || row.text == "")
	}
}

// FuzzPickTools: what is cut leaves valid JSON, in which nothing stands that may not.
func FuzzPickTools(f *testing.F) {
	f.Add(`{"id":1,"result":{"tools":[{"name":"a"},{"name":"b"}]}}`)
	f.Add(`[{"result":{"tools":[1,{"name":"b"} ]}}]`)
	f.Fuzz(func(t *testing.T, text string) {
		none, ok := proxy.PickTools(text, func(string) bool { return false })
		all, still := proxy.PickTools(none, func(string) bool { return false })
		if none != all || ok && !still {
			t.Errorf("%q becomes %q and then %q", text, none, all)
		}
	})
}
