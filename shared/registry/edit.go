package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"keyless/shared/seal"
)

// Kinds of a Changed and of an Edit, beside KindConsumer and KindClient.
const (
	EditInstance = "instance"
	EditClient   = string(KindClient)
	EditDomain   = "domain"
	EditUpstream = "upstream"
	EditAPI      = "api"
	EditGroup    = "group"
	EditConsumer = string(KindConsumer)
	EditGlobal   = "global_authentication"
	EditPrices   = "prices"
	EditSettings = "settings"
)

// The values of Edit.Match that are no version.
const (
	MatchAny = "*" // whatever stands there, or nothing
	MatchNew = "-" // nothing must stand there
)

// Actor is who changes something: a name for the audit trail, never a credential, and the id of the request.
type Actor struct {
	Who       string
	RequestID string
}

// Edit is a change of one object. Object has the form of the configuration file, an instance without its clients, prices as the list,
// settings as {"currency": …}; nil removes it. A secret written "[kept]" stays what is stored. Name is instance/id for a client, and
// empty for global_authentication, prices and settings; for a client "instance/" gives a new one a generated id. Match is the version
// that the editor saw, MatchNew or MatchAny.
type Edit struct {
	Kind   string
	Name   string
	Object json.RawMessage
	Match  string
	By     Actor
}

// Edited is what an Edit did. Change.Action is empty where nothing differed and nothing was written.
type Edited struct {
	Version   string // of the object now; "" where it was removed
	Revision  string // of the registry
	Change    Changed
	Generated []GeneratedSecret
	Object    json.RawMessage // as it stands now, redacted; nil where it was removed
}

// Object is a stored object in the form of the file, redacted: a secret that is set reads "[kept]", in a list of several keys without
// ids "[kept:0]", "[kept:1]" and so on. Version is a digest of what is stored.
type Object struct {
	Name    string
	Version string
	Value   json.RawMessage
}

// ListOptions bound a List: Parent is the instance of clients, Prefix begins the name (of a client: its id), After is the name behind
// which the page begins, Limit is at most MaxPage.
type ListOptions struct {
	Parent string
	Prefix string
	After  string
	Limit  int
}

// MaxPage bounds the objects of one List: each is read.
const MaxPage = 200

// ErrNoObject says that there is no object of the kind and name.
var ErrNoObject = errors.New("there is no such object")

// ConflictError refuses an Edit whose Match does not hold. Current is the object's version, "" where there is none.
type ConflictError struct{ Current string }

func (e *ConflictError) Error() string { return "the object is not what the editor saw" }

// ReferencedError refuses to remove what others refer to. By names them, such as "api models", at most maxReferrers.
type ReferencedError struct{ By []string }

func (e *ReferencedError) Error() string {
	return fmt.Sprintf("the object is in use by %s", strings.Join(e.By, ", "))
}

// Editor changes a registry one object at a time, as Apply changes it as a whole: the same judgement, the same stored forms. Safe for
// concurrent use, also by many processes: an edit is written only onto the revision on which it was judged.
type Editor struct {
	store Store
	keys  *seal.Keys
	now   func() time.Time
	turn  chan struct{} // holds one: the edits of a process follow each other, rather than judge anew whenever another has written
}

// NewEditor makes an Editor that seals secrets with the keys.
func NewEditor(store Store, keys *seal.Keys, now func() time.Time) *Editor {
	return &Editor{store: store, keys: keys, now: now, turn: make(chan struct{}, 1)}
}

// editAttempts bounds how often an edit is judged anew because others wrote before: fifty editors at once all get through.
const editAttempts = 100

// Edit judges a change together with what it refers to and what it could collide with, and carries it out with its audit entry in one
// Change. The error is Faults, whose paths begin in the object, *ConflictError, *ReferencedError, ErrNoObject, or ErrBusy where others
// were faster each time. After any other error the edit may have been carried out. Round trips: four to six, and those of reading every
// entry where something is removed that entries may refer to.
func (e *Editor) Edit(ctx context.Context, edit Edit) (Edited, error) {
	if e.keys == nil {
		return Edited{}, errors.New("edit: no master key to seal secrets with")
	}
	if err := edit.check(); err != nil {
		return Edited{}, err
	}
	select {
	case <-ctx.Done():
		return Edited{}, ctx.Err()
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	}
	for attempt := range editAttempts {
		if err := pause(ctx, attempt); err != nil {
			return Edited{}, err
		}
		if err := e.store.Complete(ctx); err != nil {
			return Edited{}, err
		}
		done, err := e.attempt(ctx, edit)
		if !errors.Is(err, ErrMoved) {
			return done, err
		}
	}
	return Edited{}, ErrBusy
}

// check refuses what is wrong in an edit itself.
func (edit Edit) check() error {
	_, id, isClient := strings.Cut(edit.Name, "/")
	switch {
	case newObject(edit.Kind) == nil:
		return fmt.Errorf("there is no kind of object %q", edit.Kind)
	case edit.Match == "":
		return errors.New("an edit names the version that it changes")
	case single(edit.Kind):
		if edit.Name != "" {
			return fmt.Errorf("%s has no name", edit.Kind)
		}
		return nil
	case edit.Kind == EditClient:
		if !isClient || id == "" && edit.Object == nil {
			return errors.New("the name of a client is instance/id")
		}
	case edit.Name == "":
		return Faults{{"name", "is required and not empty"}}
	}
	return nil
}
