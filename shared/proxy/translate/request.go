package translate

import "strings"

// writing is a request under way from one dialect to the other.
type writing struct {
	in  members
	out object
	o   Options
}

// steps runs the parts of a translation, until one refuses.
func steps(parts ...func() error) error {
	for _, part := range parts {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

func (w *writing) model() error {
	own, err := w.in.needLiteral("model")
	if err != nil {
		return err
	}
	if w.o.Model != "" {
		own = quote(w.o.Model)
	}
	w.out.raw("model", own)
	return nil
}

// move writes a number under the same name.
func (w *writing) move(name string) func() error {
	return func() error { return w.in.move(name, &w.out) }
}

// boundName is the member that bounds the output of a chat completion: OpenAI's reasoning models take only
// the newer name, and most others who speak the dialect know the older one. meter, which changes the bound of
// such a request, holds to the same rule.
func boundName(model string) string {
	reasons := len(model) > 1 && model[0] == 'o' && model[1] >= '1' && model[1] <= '9'
	if reasons || strings.HasPrefix(model, "gpt-5") {
		return "max_completion_tokens"
	}
	return "max_tokens"
}
