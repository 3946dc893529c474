package command

import (
	"bytes"
	"context"
	"io"

	"keyless/shared/registry"
	"keyless/shared/registry/file"
)

// export writes the registry as a file that apply reads.
func export(ctx context.Context, t terminal, args []string) error {
	flags, o := t.gatewayFlags()
	name := flags.String("o", "", "write it into this `file`, which nobody else can read")
	if err := t.parse(flags, args); err != nil {
		return err
	}
	g, err := t.gateway(o)
	if err != nil {
		return err
	}
	defer g.close()
	var c registry.Config
	if _, err := g.do(ctx, ask{path: "/export"}, &c); err != nil {
		return err
	}
	var text bytes.Buffer
	if o.asJSON {
		old := t.stdout
		t.stdout = &text
		err, t.stdout = t.json(c), old
	} else {
		err = file.Write(&text, c)
	}
	if err != nil {
		return err
	}
	if *name == "" {
		_, err = t.stdout.Write(text.Bytes())
		return err
	}
	return writeWhole(*name, text.Bytes())
}

// writeWhole writes a file that is there whole or not at all, for its owner alone.
func writeWhole(name string, text []byte) error {
	return streamWhole(name, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}
