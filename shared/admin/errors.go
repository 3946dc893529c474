package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"keyless/shared/accesslog"
	"keyless/shared/keyring"
	"keyless/shared/ledger"
	"keyless/shared/registry"
)

// Problem is the answer to a call that was refused or failed: application/problem+json, RFC 9457. Code is for machines.
type Problem struct {
	Title        string          `json:"title"`
	Status       int             `json:"status"`
	Detail       string          `json:"detail"`
	Code         string          `json:"code"`
	RequestID    string          `json:"request_id"`
	Faults       registry.Faults `json:"faults,omitempty"`
	Current      string          `json:"current,omitempty"`       // of a conflict: the object's version
	ReferencedBy []string        `json:"referenced_by,omitempty"` // who keeps the object from being removed
}

// refusal is a Problem on its way up. It is an error because those of the Editor are, and one table turns all into answers.
type refusal struct {
	Problem
	header http.Header
}

func (r *refusal) Error() string { return r.Detail }

func refuse(status int, code, detail string) *refusal {
	return &refusal{Problem: Problem{Title: http.StatusText(status), Status: status, Code: code, Detail: detail}, header: http.Header{}}
}

func (r *refusal) with(name, value string) *refusal {
	r.header.Set(name, value)
	return r
}

func forbidden(detail string) *refusal { return refuse(http.StatusForbidden, "forbidden", detail) }

func badRequest(detail string) *refusal { return refuse(http.StatusBadRequest, "bad_request", detail) }

// refused is the one table of errors. What is none of these is a failure of ours.
func refused(err error) *refusal {
	var (
		known      *refusal
		faults     registry.Faults
		conflict   *registry.ConflictError
		referenced *registry.ReferencedError
		question   badQuestion
	)
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &faults):
		r := refuse(http.StatusUnprocessableEntity, "invalid", "The object has faults; nothing was changed")
		r.Faults = faults
		return r
	case errors.As(err, &conflict):
		r := refuse(http.StatusPreconditionFailed, "conflict", "The object was changed meanwhile; read it again, and decide again")
		r.Current = conflict.Current
		return r
	case errors.As(err, &referenced):
		r := refuse(http.StatusConflict, "referenced", "Other objects need this one; change or remove them first")
		r.ReferencedBy = referenced.By
		return r
	case errors.As(err, &question):
		return badRequest(question.Error())
	}
	for _, one := range sentinels {
		if errors.Is(err, one.err) {
			return refuse(one.status, one.code, one.detail)
		}
	}
	return nil
}

var sentinels = []struct {
	err    error
	status int
	code   string
	detail string
}{
	{registry.ErrNoObject, http.StatusNotFound, "not_found", "There is no such object"},
	{registry.ErrBusy, http.StatusServiceUnavailable, "registry_busy", "Others change the registry all the time; try again"},
	{ErrNoRecord, http.StatusNotFound, "no_record", ErrNoRecord.Error()},
	{ledger.ErrQuestion, http.StatusBadRequest, "bad_request",
		"A report is of 1 to 400 days, written 2026-11-25, by day, consumer, api, upstream or model; a page has 1 to 1000 entries"},
	{ledger.ErrWide, http.StatusBadRequest, "too_wide", "The report reads too much; ask for fewer days, or for one consumer"},
	{keyring.ErrNoKey, http.StatusNotFound, "not_found", "The instance has no signing key of this kid"},
	{keyring.ErrFull, http.StatusConflict, "keys_full", "So many signing keys are published that one must leave first"},
	{keyring.ErrBusy, http.StatusServiceUnavailable, "registry_busy", "Others change the signing keys all the time; try again"},
	{context.DeadlineExceeded, http.StatusServiceUnavailable, "store_unavailable", "The store did not answer in time; try again"},
}

// refuse answers with a problem. The text of a failure goes to the log alone.
func (a *Admin) refuse(c *call, err error) {
	r := refused(err)
	if r == nil {
		a.o.Log.ErrorContext(c.ctx(), "admin", "error", err.Error())
		r = refuse(http.StatusServiceUnavailable, "store_unavailable", "The store did not answer; try again")
		if c.r.Method != http.MethodGet && c.r.Method != http.MethodHead {
			r.Detail = "The store did not answer; what was to be changed may have been changed, so read before you try again"
		}
	}
	header := c.w.Header()
	for name, values := range r.header {
		header[name] = values
	}
	switch r.Status {
	case http.StatusUnauthorized:
		header.Set("WWW-Authenticate", challenge(c.r))
	case http.StatusServiceUnavailable:
		header.Set("Retry-After", "1")
	}
	r.Problem.RequestID = accesslog.RequestID(c.r)
	header.Set("Content-Type", "application/problem+json")
	c.w.WriteHeader(r.Status)
	_ = json.NewEncoder(c.w).Encode(r.Problem) // the caller is gone
}
