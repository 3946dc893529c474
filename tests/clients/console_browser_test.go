package clients

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// bootstrap is KEYLESS_ADMIN_TOKEN of the console's tests.
const bootstrap = "an-admin-token-of-the-console-tests"

// step is something that a person does.
type step = chromedp.Action[chromedp.Void]

// browser is a person in front of the console.
type browser struct {
	t       *testing.T
	ctx     context.Context
	console string
}

// openBrowser starts Chromium, which ends with the test. What a page says in the browser's console is a fault: a policy that forbids
// something of ours, or a script that fails.
func openBrowser(t *testing.T, gateway string) *browser {
	t.Helper()
	need(t, "chromium")
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.WindowSize(1360, 900), chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("disable-background-networking", true), chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"),
	)
	allocator, endAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, end := chromedp.NewContext(allocator)
	t.Cleanup(func() { end(); endAllocator() })
	b := &browser{t: t, ctx: ctx, console: gateway + "/_/console"}
	if err := chromedp.Listen(ctx, b.heard); err != nil {
		t.Fatal(err)
	}
	return b
}

// heard makes a fault of what a page says.
func (b *browser) heard(event any) {
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork {
			b.t.Errorf("the browser says: %s", e.Entry.Text)
		}
	case *runtime.EventExceptionThrown:
		b.t.Errorf("a script fails: %s", fmt.Sprint(e.ExceptionDetails))
	}
}

// do runs steps, and shows the page where one of them fails.
func (b *browser) do(what string, steps ...step) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		at, _ := chromedp.Run(b.ctx, chromedp.Location())
		text, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.body.innerText`))
		b.t.Fatalf("%s: %v\nat %s\n%s", what, err, at, text)
	}
}

// button finds a button or link of a page by its words.
func button(words string) string {
	return `//main//*[self::button or self::a][normalize-space(.)="` + words + `"][not(ancestor::dialog)]`
}

// press presses it and waits for the next page.
func press(words string) step { return next(chromedp.Click(button(words))) }

// next waits until a step has led to another page that is loaded.
func next(act step) step {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		if _, err := chromedp.Evaluate[bool](`window.stale = true`)(ctx, t); err != nil {
			return err
		}
		if _, err := act(ctx, t); err != nil {
			return err
		}
		for ctx.Err() == nil {
			loaded, err := chromedp.Evaluate[bool](`!window.stale && document.readyState === "complete"`)(ctx, t)
			if err == nil && loaded {
				return nil
			}
			time.Sleep(10 * time.Millisecond)
		}
		return errors.New("no other page came")
	})
}

// field finds an input by its label.
func field(label string) string {
	says := `starts-with(normalize-space(.),"` + label + `")`
	return `//main//*[self::input or self::textarea or self::select][starts-with(@aria-label,"` + label + `") or @id=//label[` + says +
		`]/@for or ancestor::label[` + says + `]]`
}

// fill types into a field, over what stands in it.
func fill(label, text string) step {
	return typeInto(field(label)+`[not(@type="radio") and not(@type="checkbox")]`, text)
}

func typeInto[S chromedp.Selectable](selector S, text string) step {
	over := chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		if _, err := chromedp.Evaluate[bool](`(document.activeElement.select(), true)`)(ctx, t); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, t, input.InsertText, input.InsertTextParams{Text: text})
		return err
	})
	return chromedp.Steps(chromedp.WaitVisible(selector), chromedp.Focus(selector), over)
}

func choose(label string) step { return chromedp.Click(field(label)) }

func (b *browser) open(path string) step { return next(chromedp.Navigate(b.console + path)) }

// value reads a field.
func (b *browser) value(label string) string {
	b.t.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Value(field(label)))
	if err != nil || text == "" {
		b.t.Fatalf("read %s: %q, %v", label, text, err)
	}
	return text
}

func (b *browser) text(selector string) string {
	b.t.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS(selector)))
	if err != nil {
		b.t.Fatalf("read %s: %v", selector, err)
	}
	return text
}

// sees waits for words on the page.
func (b *browser) sees(words string) {
	b.t.Helper()
	quoted, _ := json.Marshal(words) // a text always is JSON
	b.do("look for "+words, chromedp.Poll[chromedp.Void](`document.querySelector("main").innerText.includes(`+string(quoted)+`)`))
}
