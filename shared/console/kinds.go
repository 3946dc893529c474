package console

// Descriptions that several kinds share.
var (
	nameField = field{path: "name", label: "Name", required: true, named: true,
		hint: "Letters, digits and . _ ~ -; it never changes"}
	statusField = field{path: "status", label: "Status", as: asChoice, choices: []string{"enabled", "disabled"}, absent: "enabled",
		words: map[string]string{"enabled": "Enabled", "disabled": "Disabled"}}
	algorithms = []string{"ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA"}

	claimsToHeaders = field{path: "claims_to_headers", label: "Claims to headers", as: asRows, hint: "What the upstream sees of the token",
		columns: []field{{path: "claim", label: "Claim"}, {path: "header", label: "Header"}}}
)

// limits are those of a consumer, a group or an API.
var limits = []section{
	{"Calls", "Calendar windows in the time zone; an empty field is no limit.", []field{
		{path: "limits.calls_per_minute", label: "A minute", as: asNumber}, {path: "limits.calls_per_hour", label: "An hour", as: asNumber},
		{path: "limits.calls_per_day", label: "A day", as: asNumber}, {path: "limits.calls_per_month", label: "A month", as: asNumber},
	}},
	{"Model tokens", "Held before the call, settled exactly after it.", []field{
		{path: "limits.tokens_per_minute", label: "A minute", as: asNumber}, {path: "limits.tokens_per_hour", label: "An hour", as: asNumber},
		{path: "limits.tokens_per_day", label: "A day", as: asNumber}, {path: "limits.tokens_per_month", label: "A month", as: asNumber},
	}},
	{"Spend and pace", "", []field{
		{path: "limits.spend_per_day", label: "Spend a day", example: "25.00"},
		{path: "limits.spend_per_month", label: "Spend a month", example: "250.00"},
		{path: "limits.rate.per_second", label: "Calls a second", as: asNumber, hint: "Smoothing only"},
		{path: "limits.rate.burst", label: "Burst", as: asNumber},
		{path: "limits.time_zone", label: "Time zone", example: "UTC"},
		{path: "limits.shadow", label: "Shadow: count and report, never refuse", as: asCheck},
		{path: "limits.models", label: "By model", as: asJSON, example: `{"qwen-max*": {"tokens_per_day": 100000}}`},
	}},
}

// limitsTab shows them.
var limitsTab = tab{id: "limits", title: "Limits", form: limits}

// kinds are all kinds of objects, in the order of the file.
var kinds []kind

func init() {
	kinds = append(identityKinds(), gatewayKinds()...)
	kinds = append(kinds, consumerKind(), groupKind(), globalKind(), pricesKind(), settingsKind())
}

func groupKind() kind {
	return kind{
		path: "groups", title: "Groups", one: "group", key: "name", half: "gateway", create: "Create Group",
		says:    "Consumers that share limits.",
		empty:   "Create a group where several consumers shall share one budget; then name it in each consumer's settings.",
		columns: []column{{"Calls a day", "limits.calls_per_day", ""}, {"Tokens a day", "limits.tokens_per_day", ""}},
		form:    []section{{fields: []field{nameField}}},
		tabs:    []tab{limitsTab},
	}
}

func globalKind() kind {
	return kind{
		path: "global_authentication", title: "Global authentication", one: "global authentication", half: "gateway",
		says: "One issuer for everybody, such as a unified login. It counts on every API whose own authentication is disabled; a valid " +
			"token authenticates and authorizes at once.",
		create: "Create",
		tabs: []tab{{id: "settings", title: "Settings", form: []section{
			{"Issuer", "", []field{
				statusField,
				{path: "issuer", label: "Issuer", hint: "iss must equal it", example: "https://login.example.com"},
				{path: "subject", label: "Subject", hint: "sub must equal it, where given"},
				{path: "audience", label: "Audience", as: asLines, hint: "One of these must be in aud, where given"},
				{path: "jwks_url", label: "JWKS URL", example: "https://login.example.com/jwks"},
				{path: "jwks", label: "JWKS", as: asArea, hint: "In place of the URL"},
				{path: "max_lifetime", label: "Longest lifetime", example: "7d"},
			}},
			{"Where it asks for a token", "", []field{
				{path: "mode", label: "Mode", as: asChoice, choices: []string{"whitelist", "blacklist"}, words: map[string]string{
					"whitelist": "Whitelist: all need a token but the listed", "blacklist": "Blacklist: only the listed need a token"}},
				{path: "rules", label: "Domains and paths", as: asRows, columns: []field{
					{path: "domain", label: "Domain", example: "*"}, {path: "path", label: "Path", example: "/accounts/login"},
					{path: "match", label: "Match", as: asChoice, choices: []string{"", "prefix", "exact", "suffix", "regex"}}}},
			}},
			{"Token", "", []field{
				{path: "header", label: "Header", example: "Authorization"}, {path: "prefix", label: "Prefix", example: "Bearer "},
				{path: "pass_token", label: "The upstream sees the token", as: asCheck}, claimsToHeaders,
			}},
		}}},
	}
}

func pricesKind() kind {
	return kind{
		path: "prices", title: "Prices", one: "the prices", half: "gateway", create: "Create",
		says: "What usage costs, per million model tokens, per call and per image; the first that matches counts. The figures are your own.",
		tabs: []tab{{id: "settings", title: "Prices", form: []section{{fields: []field{
			{path: "prices", label: "Prices", as: asRows, columns: []field{
				{path: "upstream", label: "Upstream", from: "/upstreams", as: asChoice}, {path: "model", label: "Model", example: "qwen-plus"},
				{path: "input", label: "Input", example: "0.40"}, {path: "output", label: "Output", example: "1.20"},
				{path: "cached_input", label: "Cached input"}, {path: "per_call", label: "Per call"}, {path: "per_image", label: "Per image"}}},
		}}}}},
	}
}

func settingsKind() kind {
	return kind{
		path: "settings", title: "Currency", one: "the currency", half: "gateway", create: "Create",
		says: "The currency of every amount and price.",
		tabs: []tab{{id: "settings", title: "Currency", form: []section{{fields: []field{
			{path: "currency", label: "Currency", example: "USD", hint: "Three letters, ISO 4217"},
		}}}}},
	}
}
