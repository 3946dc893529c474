package clients

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestConsoleGuide is the console guide's nineteen steps, from an empty store to a streamed answer in the debugger.
func TestConsoleGuide(t *testing.T) {
	need(t, "chromium")
	gateway, upstream, provider := consoleServe(t)
	b := openBrowser(t, gateway)
	const identifier = guideServer

	b.do("1 log on to the IDaaS console", b.open("/"),
		next(chromedp.Click(`//header//a[.="Log on to the IDaaS console"]`)),
		fill("Admin token", bootstrap), press("Sign in"))
	b.sees("Each instance is one issuer")
	b.do("2 create an instance", press("Create Instance"), fill("Instance Description", "Machines of Acme"), fill("Instance ID", "acme"),
		choose("I have read and agree"), press("Create Instance"))
	b.sees("M2M Management is off")
	b.do("3 open its console", b.open("/instances"), press("Open Console"))
	b.do("4 enable M2M Management", chromedp.Click(button("Upgrade")),
		chromedp.WaitVisible(chromedp.CSS(`dialog[open]`)), next(chromedp.Click(chromedp.CSS(`dialog[open] button.primary`))))
	b.sees("this instance issues tokens")

	b.do("5 create an M2M client application", press("Create"), choose("Client application"), fill("Application Name", "Nightly report"),
		fill("client_id", "nightly-report"), press("Create"))
	b.sees("nightly-report")
	b.do("6 create a client secret", press("Create Client Secret"))
	b.sees("Client secret created")
	b.do("7 show it", b.open("/instances/acme/clients/nightly-report"), next(chromedp.Click(`//tbody/tr[last()]//button[.="Show"]`)))
	client, secret := b.value("client_id"), b.value("client_secret")

	b.do("8 create an M2M server application", b.open("/instances/acme"), press("Create"), choose("Server application"),
		fill("Application Name", "Model gateway"), fill("Resource Server Identifier", identifier), press("Create"))
	b.do("9 add a permission scope", fill("Scope Name", "Invoke models"), fill("Scope Value", "model.invoke"), press("Add Permission"))
	b.sees("model.invoke")
	b.do("10 assign it to the client", b.open("/instances/acme/clients/nightly-report?tab=permissions"),
		chromedp.Click(`//tr[contains(., "model.invoke")]//input`), press("OK"))
	b.sees("The permissions are saved")
	b.do("11 copy the JWKS endpoint", b.open("/instances/acme/resource_servers/"+url.PathEscape(identifier)), press("Login Methods"))
	jwks := b.value("Sync IDaaS Provision JWKS Endpoint")

	b.upstreamAndAPI(upstream, provider)
	b.do("12 go to the AI Gateway console", next(chromedp.Click(`//header//a[.="AI Gateway console"]`)))
	b.do("13 create a consumer", next(chromedp.Click(`//nav//a[.="Consumers"]`)), press("Create Consumer"),
		fill("Consumer Name", "nightly-report"), fill("Display name", "Nightly report"))
	b.do("14 choose JWT", choose("JWT"))
	b.do("15 set the JWKS URL", fill("JWKS URL", jwks))
	b.do("16 set the consumer identifier", fill("Consumer Identifier in JWKS Payload: claim", "scope"),
		fill("Consumer Identifier in JWKS Payload: value", "model.invoke"), press("Create Consumer"))
	b.sees("Created.")
	b.do("17 authorize it", press("Consumer Authorization"), chromedp.SetValue(field("API"), "models"), press("Authorize"))
	b.sees("Authorized.")

	token := accessToken(t, gateway+"/acme/oauth2/token", client, secret, identifier+"|model.invoke")
	b.do("18 open the debugger", b.open("/apis/models"), press("Debugging"))
	b.do("19 add the header", chromedp.Click(`//fieldset[legend="Header"]//button[.="Add Parameters"]`),
		typeInto(chromedp.CSS(`[data-pairs=header] .pair:last-child input[name="header.name"]`), "Authorization"),
		typeInto(chromedp.CSS(`[data-pairs=header] .pair:last-child input[name="header.value"]`), "Bearer  "+token),
		chromedp.Click(chromedp.CSS(`.call .submit button`)))
	b.sees("There is a second space between Bearer and the token")
	b.do("19 with one space", typeInto(chromedp.CSS(`[data-pairs=header] .pair:last-child input[name="header.value"]`), "Bearer "+token),
		chromedp.Click(chromedp.CSS(`.call .submit button`)))
	b.sees("200 OK")
	b.sees("[DONE]")
	answer := b.text("[data-body]")
	if strings.Count(answer, "data: ") < 3 || !strings.Contains(answer, `"delta"`) {
		t.Errorf("not a streamed answer:\n%s", answer)
	}
	if decision := b.text("[data-decision]"); !strings.Contains(decision, "allowed") || !strings.Contains(decision, "nightly-report") {
		t.Errorf("the decision does not name the consumer:\n%s", decision)
	}
	program := build(t)
	sameByOtherWays(t, program, exported(t, program, gateway, upstream))
}

// upstreamAndAPI is what the guide has already: Model Studio behind a Model API.
func (b *browser) upstreamAndAPI(upstream, provider string) {
	b.t.Helper()
	b.do("create the upstream", b.open("/new/upstreams"), fill("Name", "demo-model"), fill("Base URL", upstream),
		fill("API keys of the provider", provider), press("Create Upstream"))
	b.sees("Keep stored key 1")
	b.do("create the API", b.open("/new/apis"), fill("Name", "models"), fill("Base path", "/v1"), choose("Strip the base path"),
		chromedp.SetValue(field("Upstream, row 1"), "demo-model"), press("Create API"))
	b.sees("Nobody is authorized")
}

// accessToken is the guide's own curl: a token by client credentials.
func accessToken(t *testing.T, endpoint, client, secret, scope string) string {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, endpoint, strings.NewReader(url.Values{"grant_type": {"client_credentials"}, "scope": {scope}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(client, secret)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	var body struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(got.Body).Decode(&body); err != nil || body.AccessToken == "" {
		t.Fatalf("no token: status %d, %v", got.StatusCode, err)
	}
	return body.AccessToken
}

// consoleServe runs the gateway on an empty store in memory, with the demo model elsewhere.
func consoleServe(t *testing.T) (gateway, upstream, provider string) {
	t.Helper()
	provider = "provider-key-of-the-console-tests"
	program := build(t)
	upstream = start(t, []string{"DEMO_PROVIDER_KEY=" + provider}, "base_url ", program, "demo-upstream", "--addr", "127.0.0.1:0")
	upstream, _, _ = strings.Cut(upstream, ",")
	gateway = start(t, []string{
		"KEYLESS_ADDR=127.0.0.1:0", "KEYLESS_DATA=", "KEYLESS_LOG=text,error", "KEYLESS_ADMIN_TOKEN=" + bootstrap,
	}, "Keyless Gateway serves ", program, "serve")
	return gateway, upstream, provider
}
