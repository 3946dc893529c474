package command

import (
	"io"
	"text/template"

	"keyless/shared/demo"
)

// document is the token of the requirement document's curl examples, without its last character: 4 is the good one, 1 the bad.
const document = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6IjEyMyJ9.eyJpc3MiOiJhYmNkIiwic3ViIjoidGVzdCIsImlhdCI6MTY2NTY2MDUyNywi" +
	"ZXhwIjoxODY1NjczODE5fQ.-vBSV0bKeDwQcuS6eeSZN9dLTUnSnZVk8eVCXdooCQ"

// demoScope is the scope of the demo's model, as Alibaba IDaaS clients ask for it.
const demoScope = "cloud:idaas:aigateway:alibabacloud:1234567890|model.invoke"

// recipe prints the console guide's recipe as commands, ready to paste into a shell.
func recipe(w io.Writer, url string, s demo.Secrets) {
	_ = recipeText.Execute(w, map[string]string{"URL": url, "Secret": s.Client, "Scope": demoScope, "Document": document})
}

var recipeText = template.Must(template.New("recipe").Parse(`
Paste these into another shell.

# a machine gets a token, by its client secret
TOKEN=$(curl -s {{.URL}}/acme/oauth2/token -u 'nightly-report:{{.Secret}}' \
  -d grant_type=client_credentials --data-urlencode 'scope={{.Scope}}' | sed 's/.*"access_token":"\([^"]*\)".*/\1/')

# it calls the model with it: no provider's key anywhere
curl -s {{.URL}}/v1/chat/completions -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
  -d '{"model":"demo","messages":[{"role":"user","content":"Hello"}]}'; echo

# the same, streamed
curl -sN {{.URL}}/v1/chat/completions -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
  -d '{"model":"demo","stream":true,"messages":[{"role":"user","content":"Hello"}]}'; echo

# refused: no token (401 JWT missing)
curl -si {{.URL}}/v1/chat/completions -d '{}'; echo

# refused: a changed one (401 JWT verification fails)
curl -si {{.URL}}/v1/chat/completions -H "Authorization: Bearer ${TOKEN}x" -d '{}'; echo

# refused: a client that proves itself but may not call models (403 Access Denied)
OTHER=$(curl -s {{.URL}}/acme/oauth2/token -u 'report-reader:{{.Secret}}' \
  -d grant_type=client_credentials | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
curl -si {{.URL}}/v1/chat/completions -H "Authorization: Bearer $OTHER" -d '{}'; echo

# refused: the requirement document's own three examples (401, 401, 403)
curl -si {{.URL}}/test; echo
curl -si {{.URL}}/test -H 'Authorization: Bearer {{.Document}}1'; echo
curl -si {{.URL}}/test -H 'Authorization: Bearer {{.Document}}4'; echo

# refused: a wrong client secret (401 invalid_client)
curl -si {{.URL}}/acme/oauth2/token -u nightly-report:wrong -d grant_type=client_credentials; echo

# the login flow: the backend issues the token, the gateway verifies it
LOGIN=$(curl -s {{.URL}}/accounts/login -d '{"username":"demo","password":"demo"}' | sed 's/.*"token":"\([^"]*\)".*/\1/')
curl -s {{.URL}}/accounts/orders -H "Authorization: Bearer $LOGIN"; echo

`))
