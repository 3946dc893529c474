package admin

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"keyless/shared/registry"
)

// newSecret is what a caller says of a secret or key that is to be generated.
type newSecret struct {
	ID        string     `json:"id,omitempty"` // absent: generated
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

// newHMACKey is the same of an HMAC key.
type newHMACKey struct {
	AccessKey string `json:"access_key,omitempty"` // absent: generated
	AllowSHA1 bool   `json:"allow_sha1,omitempty"`
}

// shownSecret answers with what was generated; it is shown this once.
type shownSecret struct {
	ID        string          `json:"id,omitempty"`
	AccessKey string          `json:"access_key,omitempty"`
	Secret    registry.Secret `json:"secret"`
	Version   string          `json:"version"` // of the client or consumer
}

// maxSecrets is how many a client has: one follows the other.
const maxSecrets = 2

// generated names are random, so that none that is gone comes again with another secret behind it.
func randomName(prefix string, bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // crypto/rand.Read never returns an error
	return prefix + hex.EncodeToString(b)
}

const (
	nameBytes      = 4  // of a secret's or API key's name, which is unique in its owner
	accessKeyBytes = 12 // of an access key, which is unique everywhere
)

// generateSecret adds a secret to a client.
func generateSecret(a *Admin, c *call) (reply, error) {
	return generateNamed(a, c, partSecrets, "s", "/instances/{instance}/clients/{client}/secrets/{item}")
}

// generateAPIKey adds an API key to a consumer, and the credential where it had none.
func generateAPIKey(a *Admin, c *call) (reply, error) {
	return generateNamed(a, c, partAPIKeys, "k", "/consumers/{name}/api_keys/{item}")
}

func generateNamed(a *Admin, c *call, p part, prefix, pattern string) (reply, error) {
	var asked newSecret
	if err := c.into(&asked, maxBody); err != nil {
		return reply{}, err
	}
	if asked.ID == "" {
		asked.ID = randomName(prefix, nameBytes)
	}
	item := object{"id": written(asked.ID)}
	if asked.ExpiresAt != nil {
		item["expires_at"] = written(asked.ExpiresAt)
	}
	return a.generate(c, p, item, asked.ID, pattern)
}

// generateHMACKey adds an access key with its secret to a consumer.
func generateHMACKey(a *Admin, c *call) (reply, error) {
	var asked newHMACKey
	if err := c.into(&asked, maxBody); err != nil {
		return reply{}, err
	}
	if asked.AccessKey == "" {
		asked.AccessKey = randomName("ak_", accessKeyBytes)
	}
	item := object{"access_key": written(asked.AccessKey)}
	if asked.AllowSHA1 {
		item["allow_sha1"] = written(true)
	}
	return a.generate(c, partHMACKeys, item, asked.AccessKey, "/consumers/{name}/hmac_keys/{item}")
}

// generate adds an item without its secret: the Editor makes one and tells it this once.
func (a *Admin) generate(c *call, p part, item object, id, pattern string) (reply, error) {
	cond, err := c.condition()
	if err != nil {
		return reply{}, err
	}
	done, err := a.changeItems(c, p, cond, func(list []object, _ json.RawMessage) ([]object, error) {
		switch {
		case p.at(list, id) >= 0:
			return nil, exists()
		case p.kind == registry.EditClient && len(list) >= maxSecrets:
			return nil, refuse(http.StatusConflict, "too_many_secrets", "A client has two secrets at most; remove the oldest first")
		}
		return append(list, item), nil
	})
	if err != nil {
		return reply{}, err
	}
	shown := shownSecret{ID: id, Version: done.Version}
	if p.id == "access_key" {
		shown.ID, shown.AccessKey = "", id
	}
	for _, g := range done.Generated {
		if g.ID == id || strings.HasSuffix(g.ID, "."+id) {
			shown.Secret = g.Secret
		}
	}
	vars := map[string]string{"item": id}
	for name, value := range c.vars {
		vars[name] = value
	}
	return reply{status: http.StatusCreated, body: shown, version: done.Version, location: path(pattern, vars)}, nil
}

// listSecrets answers a client's secrets with the day on which each was last used.
func listSecrets(a *Admin, c *call) (reply, error) {
	answer, err := partSecrets.list(a, c)
	if err != nil {
		return reply{}, err
	}
	used, err := registry.LastUsed(c.ctx(), a.o.Store, c.vars["instance"], c.vars["client"])
	if err != nil { // of the store: the list is good without it
		a.o.Log.WarnContext(c.ctx(), "admin", "error", err.Error())
		return answer, nil
	}
	list, _ := answer.body.(page)
	for i, item := range list.Items {
		var secret struct {
			ID string `json:"id"`
		}
		if err := unmarshal(item, &secret); err != nil {
			return reply{}, err
		}
		if at, known := used[secret.ID]; known {
			list.Items[i] = withMember(item, "last_used_at", at.UTC())
		}
	}
	return answer, nil
}

// showSecret opens a sealed secret; that it was is in the audit trail first.
func showSecret(a *Admin, c *call) (reply, error) {
	t := partSecrets.target(c)
	object, err := a.editor.Object(c.ctx(), t.kind, t.name)
	if err != nil {
		return reply{}, err
	}
	if err := c.caller.guardEdit(t.instance(), object.Value); err != nil {
		return reply{}, err
	}
	secret, err := a.editor.Reveal(c.ctx(), c.actor(), c.vars["instance"], c.vars["client"], c.vars["item"])
	if err != nil {
		return reply{}, err
	}
	return reply{body: struct {
		Secret registry.Secret `json:"secret"`
	}{registry.Secret(secret)}}, nil
}
