// Package registry holds what is known: who may get a token (Instance, Client, ResourceServer, Scope, Permission) and who may call
// what (Domain, API, Upstream, Consumer, Authorization). The JSON names of its types are the keys of the configuration file and of
// the stored entries alike.
//
// A request meets it as a Snapshot, the small things loaded whole, and through a Reader, which finds consumers and clients one at a
// time by index and keeps them in the process under the registry's revision. A change goes through Apply, which makes the registry what
// a file says, or, one object at a time, through an Editor: everything is validated first, then written into a Store, each object whole
// with its entry in the audit trail, onto the revision on which it was judged. Dump and Restore keep a registry in one file.
//
// Values that a Snapshot or Reader hands out are immutable and shared: nobody changes them. Nothing here starts a goroutine or a
// timer; what is old is noticed on the request path.
package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// FormatVersion is written beside the entries. Readers accept this one and the previous; a writer refuses a newer store.
const FormatVersion = 1

// Status is enabled, also when empty, or disabled.
type Status string

// The values of Status.
const (
	Enabled  Status = "enabled"
	Disabled Status = "disabled"
)

// On reports whether the object is in use.
func (s Status) On() bool { return s != Disabled }

// Secret is a text that must not be seen: clear in a file that is being applied, "sealed: v1:…" or "hash: v1:…" where stored or
// exported. It prints as [redacted].
type Secret string

// String implements fmt.Stringer without telling.
func (s Secret) String() string { return "[redacted]" }

// GoString implements fmt.GoStringer without telling.
func (s Secret) GoString() string { return "[redacted]" }

// Reveal returns the text.
func (s Secret) Reveal() string { return string(s) }

// Duration is a time.Duration written 90s, 15m, 1h or 7d.
type Duration time.Duration

// ParseDuration reads whole seconds, minutes, hours or days.
func ParseDuration(text string) (Duration, error) {
	unit := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour}
	if text == "" {
		return 0, errors.New("a duration is written 90s, 15m, 1h or 7d")
	}
	u, known := unit[text[len(text)-1]]
	n, err := strconv.ParseInt(text[:len(text)-1], 10, 32)
	if !known || err != nil || n < 0 || text[0] == '+' || text[0] == '-' {
		return 0, errors.New("a duration is written 90s, 15m, 1h or 7d")
	}
	return Duration(time.Duration(n) * u), nil
}

// Or returns d, or other where d is not set.
func (d Duration) Or(other time.Duration) time.Duration {
	if d == 0 {
		return other
	}
	return time.Duration(d)
}

// MarshalJSON writes the form that ParseDuration reads.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// String implements fmt.Stringer in the form that ParseDuration reads.
func (d Duration) String() string {
	t := time.Duration(d)
	switch {
	case t%(24*time.Hour) == 0 && t != 0:
		return fmt.Sprintf("%dd", t/(24*time.Hour))
	case t%time.Hour == 0 && t != 0:
		return fmt.Sprintf("%dh", t/time.Hour)
	case t%time.Minute == 0 && t != 0:
		return fmt.Sprintf("%dm", t/time.Minute)
	}
	return fmt.Sprintf("%ds", t/time.Second)
}

// UnmarshalJSON reads a JSON string as ParseDuration does.
func (d *Duration) UnmarshalJSON(text []byte) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return errors.New("a duration is a string such as 15m")
	}
	parsed, err := ParseDuration(s)
	*d = parsed
	return err
}

// Config is one configuration file, whole: what Apply makes the registry equal to. Secrets in it may be clear.
type Config struct {
	Version              int                   `json:"version"`
	Currency             string                `json:"currency,omitempty"`
	Pepper               Secret                `json:"pepper,omitempty"` // of an export: sealed, what its hashes are made with
	Instances            []Instance            `json:"instances,omitempty"`
	Domains              []Domain              `json:"domains,omitempty"`
	Upstreams            []Upstream            `json:"upstreams,omitempty"`
	APIs                 []API                 `json:"apis,omitempty"`
	Groups               []Group               `json:"groups,omitempty"`
	Consumers            []Consumer            `json:"consumers,omitempty"`
	GlobalAuthentication *GlobalAuthentication `json:"global_authentication,omitempty"`
	Prices               []Price               `json:"prices,omitempty"`
}

// lower folds the letter case of a host name.
func lower(s string) string { return strings.ToLower(s) }
