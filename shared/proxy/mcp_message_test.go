package proxy_test

import (
	"strings"
	"testing"

	"keyless/shared/proxy"
)

// TestMessages: what two readers could understand differently is refused, its neighbour is not.
func TestMessages(t *testing.T) {
	t.Parallel()
	tool := func(members string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{` + members + `}}`
	}
	deep := func(n int) string {
		return tool(`"name":"echo","arguments":{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`)
	}
	many := func(n int) string { return "[" + strings.Repeat(`{"method":"ping"},`, n-1) + `{"method":"ping"}]` }
	for name, row := range map[string]struct{ passes, refused string }{
		"a name twice":             {tool(`"name":"echo"`), tool(`"name":"echo","name":"rm"`)},
		"a name twice, escaped":    {tool(`"name":"echo","x":1`), tool(`"name":"echo","n\u0061me":"rm"`)},
		"a name in other letters":  {tool(`"name":"echo","nam":1`), tool(`"name":"echo","Name":"rm"`)},
		"only in other letters":    {tool(`"nam":"rm"`), tool(`"NAME":"rm"`)},
		"a letter that folds":      {tool(`"name":"e","argumentz":{}`), tool(`"name":"e","argument` + "\u017f" + `":{}`)},
		"_meta twice":              {tool(`"name":"e","_meta":{}`), tool(`"name":"e","_meta":{},"_meta":{}`)},
		"a member of _meta twice":  {tool(`"name":"e","_meta":{"a":1}`), tool(`"name":"e","_meta":{"a":1,"a":2}`)},
		"an argument twice":        {tool(`"name":"e","arguments":{"a":1}`), tool(`"name":"e","arguments":{"a":1,"a":2}`)},
		"method twice":             {`{"method":"ping"}`, `{"method":"ping","method":"tools/call"}`},
		"Method":                   {`{"method":"ping","m":1}`, `{"method":"ping","Method":"tools/call"}`},
		"params twice":             {`{"method":"a","params":{}}`, `{"method":"a","params":{},"params":{}}`},
		"Params":                   {`{"method":"a","params":{}}`, `{"method":"a","params":{},"PARAMS":{}}`},
		"id twice":                 {`{"id":1,"method":"a"}`, `{"id":1,"id":1,"method":"a"}`},
		"ID":                       {`{"id":1,"method":"a"}`, `{"id":1,"ID":2,"method":"a"}`},
		"jsonrpc twice":            {`{"jsonrpc":"2.0","method":"a"}`, `{"jsonrpc":"2.0","jsonrpc":"2.0","method":"a"}`},
		"request and response":     {`{"id":1,"result":{}}`, `{"id":1,"result":{},"method":"tools/call"}`},
		"request and error":        {`{"id":1,"error":{}}`, `{"id":1,"error":null,"method":"tools/call"}`},
		"a method that is none":    {`{"id":1}`, `{"id":1,"method":null}`},
		"a method that is a list":  {`{"method":"a"}`, `{"method":["a"]}`},
		"an empty method":          {`{"method":" "}`, `{"method":""}`},
		"a long method":            {`{"method":"` + strings.Repeat("a", 128) + `"}`, `{"method":"` + strings.Repeat("a", 129) + `"}`},
		"a long name":              {tool(`"name":"` + strings.Repeat("a", 128) + `"`), tool(`"name":"` + strings.Repeat("a", 129) + `"`)},
		"an id that is a fraction": {`{"id":-1,"method":"a"}`, `{"id":1.5,"method":"a"}`},
		"an id that is an object":  {`{"id":"{}","method":"a"}`, `{"id":{},"method":"a"}`},
		"an id that is null":       {`{"id":"null","method":"a"}`, `{"id":null,"method":"a"}`},
		"a long id":                {`{"id":"` + strings.Repeat("a", 254) + `","method":"a"}`, `{"id":"` + strings.Repeat("a", 255) + `","method":"a"}`},
		"positional params":        {`{"method":"a","params":null}`, `{"method":"a","params":[]}`},
		"not UTF-8":                {tool(`"name":"é"`), tool(`"name":"` + "\xe9" + `"`)},
		"not UTF-8 in a batch":     {`[{"method":"é"}]`, `[{"method":"` + "\xe9" + `"}]`},
		"a byte order mark":        {` {"method":"a"}`, "\ufeff" + `{"method":"a"}`},
		"UTF-16":                   {`{}`, "{\x00}\x00"},
		"a second value":           {`{"method":"a"} `, `{"method":"a"}{}`},
		"a second line":            {"{\"method\":\n\"a\"}", "{\"method\":\"a\"}\n{\"method\":\"tools/call\"}"},
		"a comment":                {`{"method":"a"}`, `{"method":"a"/**/}`},
		"a comma too many":         {`{"method":"a"}`, `{"method":"a",}`},
		"no object":                {`{}`, `"tools/call"`},
		"nested too deep":          {deep(61), deep(62)},
		"an empty batch":           {`[{}]`, `[]`},
		"a batch in a batch":       {`[{"method":"a"}]`, `[[{"method":"a"}]]`},
		"a batch too long":         {many(20), many(21)},
		"a batch with one bad":     {`[{"method":"a"},{}]`, `[{"method":"a"},{"a":1,"a":1}]`},
		"one id twice in a batch":  {`[{"id":1,"method":"a"},{"id":"1","method":"a"}]`, `[{"id":"1","method":"a"},{"id":"\u0031","method":"b"}]`},
		"an id of both directions": {`[{"id":1,"method":"a"},{"id":1,"result":{}}]`, `[{"id":1,"method":"a"},{"id":1,"method":"a"}]`},
	} {
		equal(t, name+": the neighbour", proxy.ReadMessages(row.passes), "")
		equal(t, name+": refused", proxy.ReadMessages(row.refused) != "", true)
	}
}

func FuzzMessages(f *testing.F) {
	for _, seed := range []string{`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}`, `[{"id":1}]`, `[`, ``, ` [ ] `} {
		f.Add(seed)
	}
	f.Fuzz(func(_ *testing.T, body string) { _ = proxy.ReadMessages(body) })
}
