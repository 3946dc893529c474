package admin

import (
	"context"
	"net/http"
	"slices"
	"strconv"

	"keyless/shared/oauth"
	"keyless/shared/registry"
)

// apply makes the registry what a configuration says; with prune it removes the rest, with dry_run it only tells.
func apply(a *Admin, c *call) (reply, error) {
	prune, err := c.flag("prune")
	if err != nil {
		return reply{}, err
	}
	dryRun, err := c.flag("dry_run")
	if err != nil {
		return reply{}, err
	}
	text, err := c.text(MaxConfigBytes)
	if err != nil {
		return reply{}, err
	}
	if _, err := oauth.Object(text); err != nil {
		return reply{}, badRequest("A configuration is a JSON object: it is " + err.Error())
	}
	var want registry.Config
	if err := decode(text, &want); err != nil {
		return reply{}, err
	}
	o := a.o
	o.By = c.actor()
	report, err := Apply(c.ctx(), o, &want, prune, dryRun)
	if report.Changes == nil {
		report.Changes = []registry.Changed{}
	}
	return reply{body: report}, err
}

// flag reads a parameter that is true or false.
func (c *call) flag(name string) (bool, error) {
	text := c.query.Get(name)
	if text == "" {
		return false, nil
	}
	on, err := strconv.ParseBool(text)
	if err != nil {
		return false, badRequest(name + " is true or false")
	}
	return on, nil
}

// explain says what becomes of a request.
func explain(a *Admin, c *call) (reply, error) {
	q, err := readQuestion(c.w, c.r)
	if err != nil {
		return reply{}, err
	}
	e, err := Explain(c.ctx(), a.o, q)
	return reply{body: e}, err
}

// The stored forms of secrets in a file.
const hashPrefix = "hash: "

// exportAttempts bounds how often an export begins anew because the registry changed meanwhile.
const exportAttempts = 5

// Export reads the registry as one configuration, which applies again under the same master key: secrets are sealed or hashed, never
// clear. It is the registry at one revision; the error is registry.ErrBusy where that moves all the time.
func Export(ctx context.Context, store registry.Store) (*registry.Config, error) {
	for range exportAttempts {
		before, err := store.Fields(ctx)
		if err != nil {
			return nil, err
		}
		config, err := registry.Load(ctx, store)
		if err != nil {
			return nil, err
		}
		after, err := store.Revision(ctx)
		if err != nil {
			return nil, err
		}
		if before[registry.FieldRevision] == after {
			config.Pepper = registry.Secret(before["pepper"])
			inFileForm(config)
			return config, nil
		}
	}
	return nil, registry.ErrBusy
}

// inFileForm takes away what is stored only, and writes hashes as a file has them.
func inFileForm(c *registry.Config) {
	for i := range c.Instances {
		in := &c.Instances[i]
		in.PrivacyAgreementBy, in.PrivacyAgreementAt = "", nil
		for n := range in.Clients {
			client := &in.Clients[n]
			client.Instance, client.Secrets = "", slices.Clone(client.Secrets)
			for s := range client.Secrets {
				secret := &client.Secrets[s]
				secret.Value, secret.Hash = inFile(secret.Value, secret.Hash), ""
			}
		}
	}
	for i := range c.Consumers {
		if c.Consumers[i].APIKey == nil {
			continue
		}
		own := *c.Consumers[i].APIKey
		own.Keys, c.Consumers[i].APIKey = slices.Clone(own.Keys), &own
		for n := range own.Keys {
			own.Keys[n].Value, own.Keys[n].Hash = inFile(own.Keys[n].Value, own.Keys[n].Hash), ""
		}
	}
}

func inFile(value registry.Secret, hash string) registry.Secret {
	if value == "" && hash != "" {
		return registry.Secret(hashPrefix + hash)
	}
	return value
}

func export(a *Admin, c *call) (reply, error) {
	config, err := Export(c.ctx(), a.o.Store)
	if err != nil {
		return reply{}, err
	}
	event := registry.AuditEvent{By: c.actor(), Action: "export", Note: "secrets sealed or hashed"}
	if err := a.editor.Record(c.ctx(), event); err != nil {
		return reply{}, err
	}
	c.w.Header().Set("Content-Disposition", `attachment; filename="gateway.json"`)
	return reply{body: config, status: http.StatusOK}, nil
}
