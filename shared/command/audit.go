package command

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"keyless/shared/registry"
)

// auditList prints a page of the audit trail.
func auditList(ctx context.Context, t terminal, args []string) error {
	flags, o := t.gatewayFlags()
	after := flags.Int64("after", -1, "begin behind the entry of this `number`; default the last ones")
	limit := flags.Int("limit", 50, "how many `entries`, at most 500")
	if err := t.parse(flags, args); err != nil {
		return err
	}
	g, err := t.gateway(o)
	if err != nil {
		return err
	}
	defer g.close()
	if *after < 0 {
		verdict, err := g.verdict(ctx)
		if err != nil {
			return err
		}
		*after = max(verdict.Head-int64(*limit), 0)
	}
	list, err := g.audit(ctx, *after, *limit)
	if err != nil {
		return err
	}
	if o.asJSON {
		return t.json(list)
	}
	var rows [][]string
	for _, e := range list {
		rows = append(rows, []string{
			strconv.FormatInt(e.Seq, 10), e.At.UTC().Format(time.RFC3339), e.Who, e.Action, strings.TrimSpace(e.Kind + " " + e.Name), e.Note,
		})
	}
	return t.table([]string{"seq", "at", "who", "action", "object", "note"}, rows)
}

// audit reads entries behind one.
func (g *gateway) audit(ctx context.Context, after int64, limit int) ([]registry.AuditEntry, error) {
	var page struct{ Items []registry.AuditEntry }
	query := url.Values{"after": {strconv.FormatInt(after, 10)}, "limit": {strconv.Itoa(limit)}}
	_, err := g.do(ctx, ask{path: "/audit?" + query.Encode()}, &page)
	if page.Items == nil {
		page.Items = []registry.AuditEntry{}
	}
	return page.Items, err
}

func (g *gateway) verdict(ctx context.Context) (registry.AuditVerdict, error) {
	var verdict registry.AuditVerdict
	_, err := g.do(ctx, ask{path: "/audit/verify", within: applyWithin}, &verdict)
	return verdict, err
}

// auditExport writes the trail as JSON Lines.
func auditExport(ctx context.Context, t terminal, args []string) error {
	flags, o := t.gatewayFlags()
	name := flags.String("o", "", "write it into this `file`, which nobody else can read")
	after := flags.Int64("after", 0, "begin behind the entry of this `number`")
	if err := t.parse(flags, args); err != nil {
		return err
	}
	g, err := t.gateway(o)
	if err != nil {
		return err
	}
	defer g.close()
	if *name == "" {
		_, err := g.exportAudit(ctx, t.stdout, *after)
		return err
	}
	var count int
	err = streamWhole(*name, func(w io.Writer) error {
		count, err = g.exportAudit(ctx, w, *after)
		return err
	})
	if err != nil {
		return err
	}
	return t.told("exported", fmt.Sprintf("%d entries into %s", count, *name), o.asJSON)
}

func (g *gateway) exportAudit(ctx context.Context, w io.Writer, after int64) (int, error) {
	lines, count := json.NewEncoder(w), 0
	lines.SetEscapeHTML(false)
	for {
		list, err := g.audit(ctx, after, registry.MaxAuditPage)
		if err != nil {
			return count, err
		}
		for _, entry := range list {
			if err := lines.Encode(entry); err != nil {
				return count, err
			}
			after, count = entry.Seq, count+1
		}
		if len(list) < registry.MaxAuditPage {
			return count, nil
		}
	}
}

// streamWhole writes a file bit by bit that is there whole or not at all, for its owner alone.
func streamWhole(name string, write func(io.Writer) error) error {
	temporary, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*") // 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	out := bufio.NewWriter(temporary)
	err = write(out)
	if err == nil {
		err = errors.Join(out.Flush(), temporary.Sync())
	}
	if err = errors.Join(err, temporary.Close()); err == nil {
		err = os.Rename(temporary.Name(), name)
	}
	if err != nil {
		_ = os.Remove(temporary.Name())
		return err
	}
	return nil
}

// auditVerify checks every link of the trail, and that it goes on from an entry that is known elsewhere.
func auditVerify(ctx context.Context, t terminal, args []string) error {
	flags, o := t.gatewayFlags()
	expect := flags.String("expect", "", "a head, `n:hash`, that an earlier verify printed: the trail must still have it")
	if err := t.parse(flags, args); err != nil {
		return err
	}
	seq, hash, err := headOf(*expect)
	if err != nil {
		return err
	}
	g, err := t.gateway(o)
	if err != nil {
		return err
	}
	defer g.close()
	verdict, err := g.verdict(ctx)
	if err != nil {
		return err
	}
	if verdict.Broken == 0 && seq > 0 {
		list, err := g.audit(ctx, seq-1, 1)
		if err != nil {
			return err
		}
		if len(list) != 1 || list[0].Seq != seq || list[0].Hash != hash {
			verdict.Broken, verdict.Why = seq, "the entry is not the one that was expected: the trail was written anew"
		}
	}
	head := ""
	if verdict.Broken == 0 && verdict.Head > 0 {
		last, err := g.audit(ctx, verdict.Head-1, 1)
		if err != nil {
			return err
		}
		if len(last) == 1 {
			head = fmt.Sprintf("%d:%s", last[0].Seq, last[0].Hash)
		}
	}
	if o.asJSON {
		err = t.json(struct {
			registry.AuditVerdict
			Expect string `json:"expect,omitempty"` // for the next --expect
		}{verdict, head})
	}
	switch {
	case err != nil:
		return err
	case verdict.Broken != 0:
		return fmt.Errorf("the audit trail is broken at entry %d: %s", verdict.Broken, plain(verdict.Why))
	case !o.asJSON && verdict.Entries == 0:
		t.say("the audit trail is empty")
	case !o.asJSON:
		t.say("%d entries, none altered, removed or put between\nhead %s", verdict.Entries, head)
	}
	return nil
}

func headOf(text string) (int64, string, error) {
	if text == "" {
		return 0, "", nil
	}
	number, hash, _ := strings.Cut(text, ":")
	seq, err := strconv.ParseInt(number, 10, 64)
	if err != nil || seq < 1 || hash == "" {
		return 0, "", usage{errors.New("--expect is NUMBER:HASH, as an earlier verify printed it")}
	}
	return seq, hash, nil
}
