package admin

// Route is a row of the table of routes, for tests that walk it.
type Route struct {
	Method, Pattern, Right string
	Status                 int // of success
	Condition              string
}

// Routes is the whole table.
func Routes() []Route {
	var all []Route
	for _, r := range routes() {
		all = append(all, Route{r.method, r.pattern, r.right, r.success(), r.doc.condition})
	}
	return all
}
