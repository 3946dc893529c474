package console

func gatewayKinds() []kind { return []kind{domainKind(), upstreamKind(), apiKind()} }

func domainKind() kind {
	limit := field{path: "daily_call_limit", label: "Calls a day", as: asNumber,
		hint: "0 is none. Empty: 1,000 on the default domain, none on others"}
	zone := field{path: "time_zone", label: "Time zone of the day", example: "UTC"}
	return kind{
		path: "domains", title: "Domains", one: "domain", key: "name", half: "gateway", create: "Create Domain",
		says: "The host names that calls come to. The domain default takes every host that no other claims; it is for testing only, and " +
			"has 1,000 calls a day.",
		empty: "Every host belongs to the domain default, which is for testing only and has 1,000 calls a day. Create a domain of your own " +
			"for production.",
		columns: []column{{"Calls a day", "daily_call_limit", ""}, {"Time zone", "time_zone", ""}},
		form: []section{{fields: []field{{path: "name", label: "Domain", required: true, named: true, example: "ai.example.com",
			hint: "An exact host, *.example.com, or default"}, limit, zone}}},
		tabs: []tab{{id: "settings", title: "Settings", form: []section{{fields: []field{limit, zone}}}}},
	}
}

func upstreamKind() kind {
	protocol := field{
		path: "protocol", label: "Protocol", as: asChoice, choices: []string{"openai", "anthropic", "mcp", "http"}, required: true,
	}
	base := field{path: "base_url", label: "Base URL", required: true, example: "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"}
	keys := field{path: "api_keys", label: "API keys of the provider", as: asSecrets,
		hint: "One a line. They are sealed and never shown again; several are spread, and failed over"}
	return kind{
		path: "upstreams", title: "Upstreams", one: "upstream", key: "name", half: "gateway", create: "Create Upstream",
		says:    "Where calls go, with the provider's key that no workload ever sees.",
		empty:   "Create an upstream for your provider: its base URL, and its API key, which stays here.",
		columns: []column{{"Protocol", "protocol", ""}, {"Base URL", "base_url", "code"}, {"Keys", "api_keys", "count"}},
		form:    []section{{fields: []field{nameField, protocol, base, keys}}},
		tabs: []tab{{id: "settings", title: "Settings", form: []section{
			{"", "", []field{protocol, base, keys, {path: "headers", label: "Headers", as: asPairs, hint: "Added to every call",
				example: "X-Team: reports"}}},
			{"Another way to send the key", "Where the protocol's own does not fit.", []field{
				{path: "auth.header", label: "Header"}, {path: "auth.prefix", label: "Prefix"},
				{path: "auth.sigv4", label: "AWS Signature Version 4", as: asPairs, example: "service: bedrock"},
				{path: "auth.oauth", label: "OAuth client credentials", as: asPairs, example: "token_url: https://…"}}},
			{"Timeouts", "", []field{{path: "timeouts.connect", label: "Connect", example: "3s"},
				{path: "timeouts.first_byte", label: "First byte", example: "60s"}, {path: "timeouts.idle", label: "Idle", example: "60s"},
				{path: "timeouts.total", label: "Total", example: "10m"}}},
		}}},
	}
}

func apiKind() kind {
	kindOf := field{path: "type", label: "Type", as: asChoice, choices: []string{"llm", "mcp", "http"}, required: true,
		words: map[string]string{"llm": "Model API (llm)", "mcp": "MCP server (mcp)", "http": "HTTP"}}
	base := field{path: "base_path", label: "Base path", required: true, example: "/v1", hint: "Whole segments; the longest counts"}
	strip := field{path: "strip_base_path", label: "Strip the base path before forwarding", as: asCheck}
	domains := field{path: "domains", label: "Domains", as: asMany, from: "/domains", hint: "None checked: all"}
	targets := field{path: "upstreams", label: "Upstreams", as: asRows, hint: "Same order: spread by weight; the next order when all of one " +
		"fail. Models: caller's name: upstream's name, one a line",
		columns: []field{{path: "upstream", label: "Upstream", as: asChoice, from: "/upstreams"}, {path: "order", label: "Order", as: asNumber},
			{path: "weight", label: "Weight", as: asNumber}, {path: "models", label: "Models", as: asPairs, example: "gpt-4o*: qwen-plus"}}}
	return kind{
		path: "apis", title: "APIs", one: "API", key: "name", half: "gateway", create: "Create API",
		says:  "What may be called: models, MCP servers and plain HTTP, each at its base path.",
		empty: "Create an API at a base path and name the upstream that it forwards to. Without an upstream yet, begin there.",
		columns: []column{{"Type", "type", ""}, {"Status", "status", "published"}, {"Base path", "base_path", "code"},
			{"Upstreams", "upstreams", "count"}},
		form: []section{{fields: []field{nameField, kindOf, base, strip, targets, domains}}},
		tabs: []tab{
			{id: "consumers", title: "Consumer authentication", extra: apiConsumers, form: []section{{fields: []field{
				{path: "authentication", label: "Consumer authentication", as: asMethods}}}}},
			{id: "settings", title: "Settings", form: []section{
				{"", "", []field{kindOf, {path: "status", label: "Status", as: asChoice, choices: []string{"", "published", "draft"},
					words: map[string]string{"": "Published (default)", "published": "Published", "draft": "Draft: answers 404"}},
					base, strip, targets, domains}},
				{"Failover and behaviour", "", []field{
					{path: "retries.attempts", label: "Attempts", as: asNumber},
					{path: "retries.on", label: "Another attempt on", as: asCauses, example: "429"},
					{path: "on_client_gone", label: "When the client is gone", as: asChoice, choices: []string{"", "cancel", "drain"},
						words: map[string]string{"": "cancel (default)"}},
					{path: "max_tokens_default", label: "Model tokens, where the caller names no bound", as: asNumber},
					{path: "body_max_bytes", label: "Largest body, bytes", as: asNumber},
					{path: "concurrency", label: "Calls at once", as: asNumber},
					{path: "cache.ttl", label: "Cache answers for", example: "10m"},
					{path: "cache.shared", label: "Consumers share the cache", as: asCheck},
					{path: "cors.origins", label: "CORS origins", as: asLines, example: "https://app.example.com"}}},
				{"Tokens", "For an API that is a resource server itself.", []field{
					{path: "resource_server", label: "Resource server"}, {path: "scopes", label: "Scopes that a token needs", as: asLines}}},
			}},
			limitsTab,
		},
	}
}

func consumerKind() kind {
	display := field{path: "display_name", label: "Display name"}
	description := field{path: "description", label: "Description", as: asArea}
	return kind{
		path: "consumers", title: "Consumers", one: "consumer", key: "name", half: "gateway", create: "Create Consumer",
		says: "Who calls the gateway, how it proves that, and what it may call.",
		empty: "Create a consumer for each workload or partner. It proves itself by a JWT, an API key or a signature; then authorize it on " +
			"an API.",
		columns: []column{{"Display name", "display_name", ""}, {"Status", "status", "status"}, {"Authentication", "", "credentials"},
			{"APIs", "authorizations", "count"}},
		form: []section{{fields: []field{
			{path: "name", label: "Consumer Name", required: true, named: true, hint: "Letters, digits and . _ ~ -; also the value of X-Consumer"},
			display, description, statusField}}},
		tabs: []tab{
			{id: "authentication", title: "Authentication", extra: consumerAuthentication, form: tokenRules,
				when: func(o object) bool { return o.at("jwt") != nil }},
			{id: "authorization", title: "Consumer Authorization", extra: consumerAuthorization},
			limitsTab,
			{id: "settings", title: "Settings", form: []section{{fields: []field{display, description, statusField,
				{path: "groups", label: "Groups", as: asMany, from: "/groups"},
				{path: "upstream_keys", label: "Provider keys of its own", as: asPairs, example: "model-studio: sk-…",
					hint: "Calls of this consumer use its own key. Kept ones read [kept]"}}}}},
		},
	}
}

// tokenRules are the settings of a consumer's JWT beside its keys and identifier.
var tokenRules = []section{{"What its token must say", "Checked where given.", []field{
	{path: "jwt.issuer", label: "Issuer"}, {path: "jwt.audience", label: "Audience", as: asLines},
	{path: "jwt.algorithms", label: "Algorithms", as: asMany, choices: append([]string{"HS256", "HS384", "HS512"}, algorithms...),
		hint: "None checked: all that the keys allow"},
	{path: "jwt.typ", label: "Type", example: "at+jwt"}, {path: "jwt.max_lifetime", label: "Longest lifetime", example: "7d"},
	{path: "jwt.skew", label: "Clock tolerance", example: "30s"}, {path: "jwt.require_dpop", label: "Require DPoP", as: asCheck}}},
	{"Where it stands", "Default: Authorization, Bearer.", []field{
		{path: "jwt.header", label: "Header"}, {path: "jwt.query", label: "Query parameter"}, {path: "jwt.cookie", label: "Cookie"},
		{path: "jwt.prefix", label: "Prefix", example: "Bearer "},
		{path: "jwt.pass_token", label: "The upstream sees the token", as: asCheck},
		{path: "jwt.claims_to_headers", label: claimsToHeaders.label, as: asRows, hint: claimsToHeaders.hint, columns: claimsToHeaders.columns}}},
}
