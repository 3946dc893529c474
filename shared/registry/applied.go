package registry

import (
	"context"
	"encoding/json"
	"fmt"
)

// fieldApplied holds an Applied.
const fieldApplied = "config_applied"

// Applied is what a process that follows a configuration file remembers of it: a keyed digest of what it applied last, and the number of
// the newest audit entry then.
type Applied struct {
	Digest string `json:"digest"`
	Seq    int64  `json:"seq"`
}

// LastApplied reads what was remembered, the zero value where nothing was. One round trip.
func LastApplied(ctx context.Context, store Store) (Applied, error) {
	fields, err := store.Fields(ctx)
	if err != nil {
		return Applied{}, fmt.Errorf("read what was applied last: %w", err)
	}
	var last Applied
	if text := fields[fieldApplied]; text != "" {
		if err := json.Unmarshal([]byte(text), &last); err != nil {
			return Applied{}, fmt.Errorf("read what was applied last: %w", err)
		}
	}
	return last, nil
}

// RememberApplied remembers the digest with the newest audit entry. Two round trips.
func RememberApplied(ctx context.Context, store Store, digest string) error {
	_, head, err := store.Audited(ctx, 0, 1)
	if err != nil {
		return fmt.Errorf("remember what was applied: %w", err)
	}
	text, err := json.Marshal(Applied{Digest: digest, Seq: head.Seq})
	if err != nil {
		return fmt.Errorf("remember what was applied: %w", err)
	}
	if err := store.Write(ctx, Change{Set: map[string]string{fieldApplied: string(text)}}); err != nil {
		return fmt.Errorf("remember what was applied: %w", err)
	}
	return nil
}

// ChangedSince lists the changes of objects behind an audit entry, oldest first. One round trip for each 500.
func ChangedSince(ctx context.Context, store Store, seq int64) ([]AuditEntry, error) {
	var list []AuditEntry
	for {
		texts, _, err := store.Audited(ctx, seq, MaxAuditPage)
		if err != nil {
			return nil, fmt.Errorf("read the audit trail: %w", err)
		}
		for _, text := range texts {
			var entry AuditEntry
			if err := json.Unmarshal([]byte(text), &entry); err != nil {
				return nil, fmt.Errorf("read the audit trail: %w", err)
			}
			switch entry.Action {
			case ActionAdd, ActionChange, ActionRemove:
				list = append(list, entry)
			}
		}
		if seq += int64(len(texts)); len(texts) < MaxAuditPage {
			return list, nil
		}
	}
}
