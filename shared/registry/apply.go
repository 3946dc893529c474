package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"keyless/shared/seal"
)

// ApplyOptions say how a Config is applied.
type ApplyOptions struct {
	Prune  bool             // remove what the Config lacks
	DryRun bool             // write nothing and show no generated secret
	Now    func() time.Time // clock of the Report; nil: time.Now
	By     Actor            // who stands in the audit trail

	// Progress, which may be nil, hears after each object how many of all are written.
	Progress func(done, all int)
}

// Report says what Apply did, or with DryRun would do. After an error it says what was done before it.
type Report struct {
	At        time.Time         `json:"at"`
	Changes   []Changed         `json:"changes"`
	Extra     []string          `json:"extra,omitempty"` // what want lacks: "consumer old"; none with Prune
	Generated []GeneratedSecret `json:"generated,omitempty"`
	Revision  string            `json:"revision"` // of the registry afterwards
}

// Changed is one object that was written.
type Changed struct {
	Action string `json:"action"` // add, change or remove
	Kind   string `json:"kind"`   // a Kind, or the key of a list of the Config in the singular
	Name   string `json:"name"`   // a client's is instance/id
}

// The actions of a Changed.
const (
	ActionAdd    = "add"
	ActionChange = "change"
	ActionRemove = "remove"
)

// GeneratedSecret is told once: the registry keeps a form of it that nobody can read, or only with the master
// key. ID is the secret's id, "client_id" for a generated client id, "jwt.value" for a consumer's value.
type GeneratedSecret struct {
	Object string `json:"object"` // such as "client acme/nightly-report"
	ID     string `json:"id"`
	Secret Secret `json:"secret,omitempty"` // clear; empty in a dry run
}

// applyAttempts bounds how often an Apply begins anew because somebody else has changed the registry meanwhile.
const applyAttempts = 30

// Apply makes the registry in the store equal to want, or, without Prune, adds and changes what want has and
// lists the rest. The error is Faults where want cannot be applied; then nothing was written.
//
// Everything is judged first, together with what stays in the registry. Then each object is one Change with its audit entry, in an
// order in which no reference ever dangles: what is referred to comes first and goes last. Each is written only onto the revision that
// the one before has left; where somebody else has changed the registry meanwhile, all is judged anew and goes on from there. A run
// that was cut is completed by the next: it leaves the field "applying" behind, on which the next one writes every consumer again, so
// that no index stays unwritten. Applying the same again writes nothing and keeps the revision; secrets that want does not name are
// generated once and kept.
//
// Round trips: three reads and one per 500 clients and consumers; one to three per change. ErrBusy says that others were faster each
// time; applying again is safe.
func Apply(ctx context.Context, store Store, keys *seal.Keys, want *Config, o ApplyOptions) (Report, error) {
	report := Report{At: clock(o.Now)}
	if keys == nil {
		return report, errors.New("apply: no master key to seal secrets with")
	}
	if faults := Validate(want); len(faults) > 0 {
		return report, faults
	}
	a := applying{store: store, keys: keys, options: o, report: &report}
	for attempt := range applyAttempts {
		if err := pause(ctx, attempt); err != nil {
			return report, err
		}
		err := a.once(ctx, want)
		if !errors.Is(err, ErrMoved) {
			return report, err
		}
	}
	return report, ErrBusy
}

func clock(now func() time.Time) time.Time {
	if now == nil {
		return time.Now()
	}
	return now()
}

// applying is one run of Apply. What it did before others came between stays in its report.
type applying struct {
	store    Store
	keys     *seal.Keys
	options  ApplyOptions
	report   *Report
	revision string // that must still stand
}

// once judges and writes. The error is ErrMoved where somebody else has written meanwhile.
func (a *applying) once(ctx context.Context, want *Config) error {
	if !a.options.DryRun {
		if err := a.store.Complete(ctx); err != nil {
			return fmt.Errorf("begin to apply: %w", err)
		}
	}
	have, err := readStored(ctx, a.store, a.keys, want.Pepper)
	if err != nil {
		return err
	}
	target := newTarget(want, have, a.keys, a.options)
	if len(target.faults) > 0 {
		return target.faults
	}
	if a.report.Extra = nil; !a.options.Prune {
		target.keepExtras(have)
		a.report.Extra = target.extra
	}
	if faults := target.explain(Validate(target.config)); len(faults) > 0 {
		return faults
	}
	planned, err := plan(target, have)
	a.report.Revision = have.snapshot.Revision
	switch {
	case err != nil || planned.empty() && !have.cut():
		return err
	case a.options.DryRun:
		a.tell(planned.steps...)
		return nil
	}
	return a.carryOut(ctx, planned, have)
}

// fieldApplying stands in the Snapshot's hash while an apply runs.
const fieldApplying = "applying"

// found are the fields with which a registry begins.
func (h *stored) found(keys *seal.Keys) (map[string]string, error) {
	set := map[string]string{fieldFormat: strconv.Itoa(FormatVersion)}
	switch {
	case h.brought != "":
		set[fieldPepper] = h.brought
	case h.newPepper:
		sealed, err := keys.Seal(placePepper, h.pepper)
		if err != nil {
			return nil, fmt.Errorf("seal the pepper: %w", err)
		}
		set[fieldPepper] = sealedPrefix + sealed
	}
	return set, nil
}

func (a *applying) carryOut(ctx context.Context, p planned, have *stored) error {
	set, err := have.found(a.keys)
	if err != nil {
		return err
	}
	maps.Copy(set, p.first)
	set[fieldApplying] = "1"
	if a.revision = have.snapshot.Revision; a.revision == "" {
		a.revision = ExpectEmpty
	}
	begins := Changed{Action: ActionApply}
	note := fmt.Sprintf("begins: %d objects to write", len(p.steps))
	if err := a.write(ctx, step{change: Change{Set: set}, part: begins}, note); err != nil {
		return fmt.Errorf("begin to apply: %w", err)
	}
	for i, s := range p.steps {
		if err := a.write(ctx, s, ""); err != nil {
			return fmt.Errorf("apply %s: %w", s.what(), err)
		}
		a.tell(s)
		if a.options.Progress != nil {
			a.options.Progress(i+1, len(p.steps))
		}
	}
	ends := step{change: Change{Unset: append(p.last, fieldApplying)}, part: begins}
	if err := a.write(ctx, ends, "ends"); err != nil {
		return fmt.Errorf("end to apply: %w", err)
	}
	return nil
}

// write carries out a step with its audit entry.
func (a *applying) write(ctx context.Context, s step, note string) error {
	entry, err := s.entry(a.options.By, clock(a.options.Now))
	if err != nil {
		return err
	}
	entry.Note = note
	s.change.Audit, s.change.Expect, s.change.Next = entry, a.revision, newEdition()
	if err := a.store.Write(ctx, s.change); err != nil {
		return err
	}
	a.revision = s.change.Next
	a.report.Revision = a.revision
	return nil
}

// tell reports steps.
func (a *applying) tell(steps ...step) {
	for _, s := range steps {
		if s.told.Action != "" {
			a.report.Changes = append(a.report.Changes, s.told)
		}
		a.report.Generated = append(a.report.Generated, s.generated...)
	}
}
