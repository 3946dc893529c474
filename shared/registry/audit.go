package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// AuditEntry is one line of the audit trail: who did what to which object, before and after without secrets. Hash is the SHA-256 of
// the entry's JSON without the member hash, in hexadecimal; Previous is the Hash of the entry before, so that no entry can be changed,
// removed or put between without breaking the chain.
type AuditEntry struct {
	Seq       int64           `json:"seq"` // from 1
	ID        string          `json:"id"`  // random; tells a repeated write from a second one
	At        time.Time       `json:"at"`
	Who       string          `json:"who,omitempty"`
	RequestID string          `json:"request_id,omitempty"`
	Action    string          `json:"action"`
	Kind      string          `json:"kind,omitempty"`
	Name      string          `json:"name,omitempty"`
	Before    json.RawMessage `json:"before,omitempty"`
	After     json.RawMessage `json:"after,omitempty"`
	Note      string          `json:"note,omitempty"`
	Previous  string          `json:"previous"` // "" for the first
	Hash      string          `json:"hash,omitempty"`
}

// AuditEvent is something to remember that changes no object, such as a key that was rotated or somebody who signed in.
type AuditEvent struct {
	By     Actor
	Action string
	Kind   string
	Name   string
	Note   string
}

// The actions of an AuditEntry beside those of a Changed.
const (
	ActionApply   = "apply"   // begin and end of an Apply
	ActionShow    = "show"    // a secret was opened
	ActionRestore = "restore" // a backup was restored
)

// AuditVerdict says whether an audit trail is whole. Broken is the first Seq that does not hold, 0 where all do; Why says what is
// wrong with it, for the operator. Head is the Seq of the newest entry as the registry remembers it.
type AuditVerdict struct {
	Entries int64  `json:"entries"`
	Head    int64  `json:"head"`
	Broken  int64  `json:"broken,omitempty"`
	Why     string `json:"why,omitempty"`
}

// MaxAuditPage bounds the entries of one Audit.
const MaxAuditPage = 500

// Record writes an audit entry without changing the registry: the revision stays. One round trip, more where others record at once.
func (e *Editor) Record(ctx context.Context, event AuditEvent) error {
	err := e.store.Write(ctx, Change{Audit: &AuditEntry{
		At: e.now().UTC(), Who: event.By.Who, RequestID: event.By.RequestID,
		Action: event.Action, Kind: event.Kind, Name: event.Name, Note: event.Note,
	}})
	if err != nil {
		return fmt.Errorf("record %s: %w", event.Action, err)
	}
	return nil
}

// Audit reads the entries behind a Seq, oldest first. One round trip.
func (e *Editor) Audit(ctx context.Context, after int64, limit int) ([]AuditEntry, error) {
	texts, _, err := e.store.Audited(ctx, max(after, 0), int64(min(max(limit, 1), MaxAuditPage)))
	if err != nil {
		return nil, err
	}
	list := make([]AuditEntry, 0, len(texts))
	for i, text := range texts {
		var entry AuditEntry
		if err := json.Unmarshal([]byte(text), &entry); err != nil {
			return nil, fmt.Errorf("read audit entry %d: %w", max(after, 0)+int64(i)+1, err)
		}
		list = append(list, entry)
	}
	return list, nil
}

// VerifyAudit reads the whole trail and checks each link. each, which may be nil, sees every entry that can be read, for an export. An
// entry that is written meanwhile may be read or not.
func (e *Editor) VerifyAudit(ctx context.Context, each func(AuditEntry)) (AuditVerdict, error) {
	var verdict AuditVerdict
	var before AuditHead
	for {
		texts, head, err := e.store.Audited(ctx, verdict.Entries, MaxAuditPage)
		if err != nil {
			return verdict, err
		}
		verdict.Head = head.Seq
		for _, text := range texts {
			verdict.Entries++
			entry, why := before.link(text)
			if why != "" && verdict.Broken == 0 {
				verdict.Broken, verdict.Why = verdict.Entries, why
			}
			if entry.Seq != 0 && each != nil {
				each(entry)
			}
			before = AuditHead{Seq: verdict.Entries, Hash: entry.Hash}
		}
		if len(texts) == MaxAuditPage {
			continue
		}
		if verdict.Broken == 0 {
			verdict.Broken, verdict.Why = head.ends(before)
		}
		return verdict, nil
	}
}

// link checks that a stored entry follows another, and says what is wrong.
func (h AuditHead) link(text string) (AuditEntry, string) {
	var entry AuditEntry
	if err := json.Unmarshal([]byte(text), &entry); err != nil {
		return AuditEntry{}, "the entry cannot be read"
	}
	digest, err := entry.digest()
	again, err2 := json.Marshal(entry)
	switch {
	case err != nil || err2 != nil || digest != entry.Hash || string(again) != text:
		return entry, "the entry was altered: its hash is another"
	case entry.Seq != h.Seq+1:
		return entry, fmt.Sprintf("an entry was removed, inserted or moved: number %d stands here", entry.Seq)
	case entry.Previous != h.Hash:
		return entry, "the entry does not follow the one before: one of them was replaced"
	}
	return entry, ""
}

// ends checks that the last entry is the one that the registry remembers.
func (h AuditHead) ends(last AuditHead) (int64, string) {
	switch {
	case last.Seq < h.Seq:
		return last.Seq + 1, fmt.Sprintf("entries were removed at the end: the registry remembers %d", h.Seq)
	case last.Seq > h.Seq:
		return h.Seq + 1, fmt.Sprintf("entries were added at the end: the registry remembers %d", h.Seq)
	case last.Hash != h.Hash:
		return h.Seq, "the last entry is not the one that the registry remembers"
	}
	return 0, ""
}

// after is the entry behind the newest one, as it is stored, and the newest one then.
func (a AuditEntry) after(head AuditHead, id string) (string, AuditHead, error) {
	a.Seq, a.ID, a.Previous, a.Hash = head.Seq+1, id, head.Hash, ""
	hash, err := a.digest()
	if err != nil {
		return "", head, err
	}
	a.Hash = hash
	text, err := json.Marshal(a)
	if err != nil {
		return "", head, fmt.Errorf("write an audit entry: %w", err)
	}
	return string(text), AuditHead{Seq: a.Seq, Hash: hash}, nil
}

// digest is the hash that an entry must have.
func (a AuditEntry) digest() (string, error) {
	a.Hash = ""
	text, err := json.Marshal(a)
	if err != nil {
		return "", fmt.Errorf("write an audit entry: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// entry is the audit entry of a step.
func (s step) entry(by Actor, at time.Time) (*AuditEntry, error) {
	what := s.told
	if what.Action == "" {
		what = s.part
	}
	entry := &AuditEntry{
		At: at.UTC(), Who: by.Who, RequestID: by.RequestID, Action: what.Action, Kind: what.Kind, Name: what.Name,
	}
	if what.Kind == "" {
		return entry, nil
	}
	var err error
	if entry.Before, err = redacted(entry.Kind, s.had); err != nil {
		return nil, err
	}
	entry.After, err = redacted(entry.Kind, s.has)
	return entry, err
}
