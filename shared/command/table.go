package command

import (
	"net/http"

	"keyless/shared/registry"
)

// group is a part of the table, as help shows it.
type group struct {
	title    string
	commands []command
}

// groups is the table of all commands.
func groups() []group {
	return []group{
		{"Run it", []command{
			{name: "serve", arguments: "[--demo]", help: "run token, jwks, authorizer, proxy and admin behind one listener", run: serve,
				example: "keyless serve --demo"},
			{name: "demo", help: "start everything on free ports, run the keyless flow step by step, stop",
				run: demonstrate, example: "keyless demo"},
			{name: "demo-upstream", arguments: "[--addr HOST:PORT]", help: "run the demo model alone", run: demoUpstream,
				example: "keyless demo-upstream --addr 127.0.0.1:8081"},
		}},
		{"Configuration as a file", []command{
			{name: "apply", arguments: "-f FILE [--prune] [--dry-run]", help: "make the registry what a file says", run: apply,
				example: "keyless apply -f gateway.yaml --dry-run"},
			{name: "diff", arguments: "-f FILE", help: "say how the registry differs from a file; exit code 4 where it does", run: diff,
				example: "keyless diff -f gateway.yaml"},
			{name: "export", arguments: "[-o FILE]", help: "write the registry as a file that apply reads, secrets sealed or hashed", run: export,
				example: "keyless export -o gateway.yaml"},
		}},
		{"One object at a time", []command{
			clientCommand(), consumerCommand(), getCommand(), setCommand(), removeCommand(), keysCommand(),
		}},
		{"Use it and look at it", []command{
			tokenCommand(), callCommand(),
			{name: "explain", arguments: "URL | -- curl … | --request-id ID", help: "say what becomes of a request, and what would make it pass",
				run: explain, example: "keyless explain --header 'Authorization: Bearer …' http://127.0.0.1:8080/v1/chat/completions"},
			{name: "usage", arguments: "[--from DAY] [--to DAY] [--by COLUMNS]", help: "what was used, and what it cost", run: usageOf,
				example: "keyless usage --by consumer,model --from 2026-11-01\nkeyless usage --by day --csv > usage.csv"},
			auditCommand(),
			{name: "doctor", arguments: "[--template FILE]", help: "look whether all is as it should be, and say what to do", run: doctor,
				example: "keyless doctor --template template.yaml"},
		}},
		{"Keep it", []command{
			{name: "backup", arguments: "-o FILE", run: beside(backup),
				help:    "write registry, keys and audit trail into one file: names, settings clear, secrets sealed or hashed",
				example: "keyless backup -o keyless-backup.jsonl"},
			{name: "restore", arguments: "FILE [--force]", run: beside(restore),
				help:    "put a backup into the store; tokens issued before no longer hold",
				example: "keyless restore keyless-backup.jsonl"},
			{name: "version", help: "print the version", run: version, example: "keyless version"},
			{name: "completion", arguments: "bash|zsh|fish", help: "print what a shell completes words by", run: completion,
				example: "source <(keyless completion bash)"},
		}},
	}
}

func getCommand() command {
	return command{name: "get", arguments: "KIND [NAME] [--prefix TEXT]", help: "print any object as YAML, or list those of a kind",
		run:     get,
		example: "keyless get api\nkeyless get api models > models.yaml\nkeyless get client acme/\nkeyless get prices\n# kinds: " + kindNames()}
}

func setCommand() command {
	return command{name: "set", arguments: "KIND [NAME] MEMBER=VALUE… | -f FILE", help: "change or make any object", run: set,
		example: "keyless set domain default daily_call_limit=5000\n" +
			"keyless set upstream deepseek protocol=openai base_url=https://api.deepseek.com/v1 'api_keys=${DEEPSEEK_KEY}'\n" +
			"keyless set api models type=llm base_path=/v1 strip_base_path=true 'upstreams=[{upstream: deepseek}]'\n" +
			"keyless set api models -f models.yaml\n" +
			"# maps merge, lists replace, a.b= takes one member away\n" +
			"# MEMBER= takes a member away, MEMBER=@FILE and MEMBER=@- read its value\n# kinds: " + kindNames()}
}

func removeCommand() command {
	return command{name: "remove", arguments: "KIND [NAME]", help: "remove any object that nothing refers to", run: remove,
		example: "keyless remove api models"}
}

// toggles are the commands that enable and disable an object, and remove it.
func toggles(kindName string, example string) []command {
	return []command{
		{name: "remove", arguments: "NAME", help: "remove it", run: removeOf(kindName), example: "keyless " + kindName + " remove " + example},
		{name: "enable", arguments: "NAME", help: "enable it",
			run: turn(kindName, registry.Enabled), example: "keyless " + kindName + " enable " + example},
		{name: "disable", arguments: "NAME", help: "disable it: from the next request on it is as if unknown",
			run:     turn(kindName, registry.Disabled),
			example: "keyless " + kindName + " disable " + example},
	}
}

// itemCommands are the commands on secrets or keys.
func itemCommands(i items, name, example string) command {
	at := "keyless " + i.kind + " " + name
	shown := "it is shown this once"
	if i.kind == clientSecrets.kind {
		shown = "secret show shows it again, unless the instance keeps hashes"
	}
	return command{name: name, help: "its " + i.says + "s", sub: []command{
		{name: "list", arguments: "NAME", help: "list them, without their values", run: i.list, example: at + " list " + example},
		{name: "create", arguments: "NAME [--id ID]", help: "have one generated; " + shown,
			run: i.create, example: at + " create " + example},
		{name: "enable", arguments: "NAME ID", help: "enable one", run: i.status(registry.Enabled), example: at + " enable " + example + " ID"},
		{name: "disable", arguments: "NAME ID", help: "disable one",
			run: i.status(registry.Disabled), example: at + " disable " + example + " ID"},
		{name: "remove", arguments: "NAME ID", help: "remove one",
			run: i.one(http.MethodDelete, "removed", nil), example: at + " remove " + example + " ID"},
	}}
}

func clientCommand() command {
	const one = "acme/nightly-report"
	secrets := itemCommands(clientSecrets, "secret", one)
	secrets.sub = append(secrets.sub, command{name: "show", arguments: "NAME ID", help: "show a sealed one; the audit trail says so",
		run: clientSecretShow, example: "keyless client secret show " + one + " s1"})
	sub := []command{
		{name: "list", arguments: "[INSTANCE]", help: "list clients", run: listOf("client"), example: "keyless client list acme"},
		{name: "show", arguments: "NAME", help: "print one", run: showOf("client"), example: "keyless client show " + one},
		{name: "create", arguments: "INSTANCE/[CLIENT] [--name TEXT] [--grant 'SERVER|SCOPE']", run: clientCreate,
			help:    "make one; its secret, and without CLIENT its id, are generated and shown",
			example: "keyless client create " + one + " --name 'Nightly report' --grant 'cloud:gateway|model.invoke'"},
	}
	sub = append(sub, toggles("client", one)...)
	return command{name: "client", help: "client applications (M2M), written INSTANCE/CLIENT", sub: append(sub, secrets,
		command{name: "grant", arguments: "NAME SERVER SCOPE…", help: "let it ask for scopes of a resource server",
			run:     permissionsOf(granted, "granted", "NAME", "SERVER", "SCOPE..."),
			example: "keyless client grant " + one + " cloud:gateway model.invoke"},
		command{name: "revoke-permission", arguments: "NAME SERVER [SCOPE…]", help: "take scopes away, or all of a resource server",
			run:     permissionsOf(taken, "no longer granted", "NAME", "SERVER", "[SCOPE...]"),
			example: "keyless client revoke-permission " + one + " cloud:gateway model.invoke"},
	)}
}

func consumerCommand() command {
	const one = "nightly-report"
	sub := []command{
		{name: "list", arguments: "[--prefix TEXT]", help: "list consumers", run: listOf("consumer"), example: "keyless consumer list"},
		{name: "show", arguments: "NAME", help: "print one", run: showOf("consumer"), example: "keyless consumer show " + one},
		{name: "create", arguments: "NAME --api-key | --hmac | --instance ID | --jwks-url URL",
			help:    "make one; its keys are generated and shown",
			run:     consumerCreate,
			example: "keyless consumer create " + one + " --instance acme --claim scope --value model.invoke --authorize models"},
	}
	sub = append(sub, toggles("consumer", one)...)
	return command{name: "consumer", help: "who calls: consumers, their keys, and what they may call", sub: append(sub,
		itemCommands(consumerKeys, "key", one), itemCommands(consumerHMACs, "hmac-key", one),
		command{name: "jwt-key", arguments: "NAME [--kind pair|symmetric] [--algorithm ALG]", run: consumerJWTKey,
			help:    "have the key made with which it signs its own tokens; it is shown this once",
			example: "keyless consumer jwt-key " + one},
		command{name: "authorize", arguments: "NAME API [--model NAME] [--expires TIME]", help: "let it call an API", run: authorize,
			example: "keyless consumer authorize " + one + " models --model demo --expires 90d"},
		command{name: "unauthorize", arguments: "NAME API", help: "no longer let it call an API, from the next request on", run: unauthorize,
			example: "keyless consumer unauthorize " + one + " models"},
	)}
}

func keysCommand() command {
	return command{name: "keys", help: "signing keys, master keys, and others' key sets", sub: []command{
		{name: "list", arguments: "[--instance ID]", help: "list published signing keys and their places in the calendar", run: keysList,
			example: "keyless keys list --instance acme"},
		{name: "rotate", arguments: "[--instance ID [--now]]", help: "carry the calendars forward, or sign with the next key at once",
			run:     keysRotate,
			example: "keyless keys rotate\nkeyless keys rotate --instance acme --now"},
		{name: "revoke", arguments: "--instance ID --kid KID", help: "remove a signing key at once: what it signed holds no longer",
			run:     keysRevoke,
			example: "keyless keys revoke --instance acme --kid KID"},
		{name: "rewrap", help: "seal everything anew that is sealed under an older master key; may be cut and run again", run: beside(keysRewrap),
			example: "KEYLESS_MASTER_KEY=$NEW,$OLD keyless keys rewrap"},
		{name: "refresh", help: "fetch the key sets of foreign issuers anew", run: beside(keysRefresh), example: "keyless keys refresh"},
	}}
}

func tokenCommand() command {
	return command{name: "token", arguments: "--client-id INSTANCE/CLIENT [--scope SCOPE] [--resource SERVER]", run: getToken,
		help: "get an access token by a client's secret and print it",
		example: "KEYLESS_CLIENT_SECRET=… keyless token --client-id acme/nightly-report --scope 'cloud:gateway|model.invoke'\n" +
			"TOKEN=$(keyless token --client-id acme/nightly-report --client-secret - < secret.txt)",
		sub: []command{
			{name: "introspect", arguments: "TOKEN --client-id INSTANCE/CLIENT", help: "ask the instance what a token says (RFC 7662)",
				run: onToken("introspect"), example: "keyless token introspect \"$TOKEN\" --client-id acme/nightly-report"},
			{name: "revoke", arguments: "TOKEN --client-id INSTANCE/CLIENT", help: "revoke a token (RFC 7009)", run: onToken("revoke"),
				example: "keyless token revoke \"$TOKEN\" --client-id acme/nightly-report"},
		}}
}

func callCommand() command {
	return command{name: "call", arguments: "API|/PATH [--message TEXT --model NAME] [--token TOKEN | --key KEY | --client-id …]", run: call,
		help: "send a real call through the gateway and stream the answer",
		example: "KEYLESS_TOKEN=$TOKEN keyless call models --message Hello --model demo\n" +
			"keyless call models --message Hello --model demo --client-id acme/nightly-report --client-secret - < secret.txt\n" +
			"keyless call /v1/models --key \"$KEY\" --json"}
}

func auditCommand() command {
	return command{name: "audit", help: "who did what", sub: []command{
		{name: "list", arguments: "[--after N] [--limit N]", help: "list entries, oldest first; default the last 50", run: auditList,
			example: "keyless audit list --limit 20"},
		{name: "export", arguments: "[-o FILE] [--after N]", help: "write the trail as JSON Lines",
			run: auditExport, example: "keyless audit export -o audit.jsonl"},
		{name: "verify", arguments: "[--expect N:HASH]", help: "check every link of the trail; exit code 1 where one is broken", run: auditVerify,
			example: "keyless audit verify --expect 1042:9f3c…"},
	}}
}
