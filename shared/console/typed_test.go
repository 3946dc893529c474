package console_test

import (
	"html"
	"net/url"
	"regexp"
	"strings"
)

var (
	forms     = regexp.MustCompile(`(?s)<form\b.*?</form>`)
	controls  = regexp.MustCompile(`(?s)<input\b[^>]*>|<textarea\b[^>]*>.*?</textarea>|<select\b[^>]*>.*?</select>`)
	opening   = regexp.MustCompile(`^<[^>]*>`)
	options   = regexp.MustCompile(`<option value="([^"]*)"( selected)?>`)
	attribute = regexp.MustCompile(`(\w+)="([^"]*)"`)
)

// typed is what a browser sends of a page's form that saves fields, where nobody typed. Our pages write > in attributes as &gt;.
func typed(page string) url.Values {
	values := url.Values{}
	for _, form := range forms.FindAllString(page, -1) {
		if !strings.Contains(form, `name="seen"`) {
			continue
		}
		for _, control := range controls.FindAllString(form, -1) {
			tag := opening.FindString(control)
			attributes := map[string]string{}
			for _, a := range attribute.FindAllStringSubmatch(tag, -1) {
				attributes[a[1]] = html.UnescapeString(a[2])
			}
			name, kind := attributes["name"], attributes["type"]
			switch {
			case name == "":
			case strings.HasPrefix(tag, "<textarea"):
				text := strings.TrimSuffix(strings.TrimPrefix(control, tag), "</textarea>")
				values.Add(name, html.UnescapeString(strings.TrimPrefix(text, "\n")))
			case strings.HasPrefix(tag, "<select"):
				values.Add(name, html.UnescapeString(selected(control)))
			case kind != "checkbox" && kind != "radio" || strings.Contains(tag, " checked"):
				values.Add(name, attributes["value"])
			}
		}
	}
	return values
}

func selected(list string) string {
	all := options.FindAllStringSubmatch(list, -1)
	for _, option := range all {
		if option[2] != "" {
			return option[1]
		}
	}
	return all[0][1]
}
