package registry

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"keyless/shared/oauth"
)

// maxPrintedFaults bounds what an error prints: nobody reads more, and a wrong file can hold a fault per
// line.
const maxPrintedFaults = 50

// Fault is one thing that is wrong with a Config. Path is written as in "consumers[3].jwt.claim"; Text says
// what is wrong and what to write instead, for the person who wrote it, and never holds a secret.
type Fault struct {
	Path string `json:"path"`
	Text string `json:"text"`
}

// Faults is everything that is wrong, as an error. The refusal of a file is this type.
type Faults []Fault

// Error prints one fault a line, at most 50, then how many more there are.
func (f Faults) Error() string {
	var lines []string
	for _, fault := range f[:min(len(f), maxPrintedFaults)] {
		lines = append(lines, fault.Path+": "+fault.Text)
	}
	if more := len(f) - len(lines); more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "\n")
}

// Validate judges a Config as a whole and returns all that is wrong, in its own order; none where it may be
// applied. It looks at nothing outside: no store, no network, no clock. Time grows with the size of the
// Config alone.
func Validate(c *Config) Faults {
	return newValidator(c).all(c)
}

// validateBeside judges a Config that has some of the consumers of a registry only: what the others use counts too.
func validateBeside(c *Config, s *Snapshot) Faults {
	v := newValidator(c)
	for _, claim := range s.Claims {
		v.claims[claim] = true
	}
	for _, place := range s.JWTPlaces {
		v.places[place] = true
	}
	for _, place := range s.KeyPlaces {
		v.keyPlaces[place] = true
	}
	return v.all(c)
}

func (v *validator) all(c *Config) Faults {
	if c.Version != 1 {
		v.fault("version", "is not 1; write version: 1")
	}
	if c.Currency != "" && !isCurrency(c.Currency) {
		v.fault("currency", "is not a currency code of three capital letters; write one such as USD")
	}
	if sealed, is := strings.CutPrefix(string(c.Pepper), sealedPrefix); c.Pepper != "" && (!is || judgeSealed(sealed) != "") {
		v.fault("pepper", "is not sealed; write it as export prints it, or leave it out")
	}
	v.instances(c.Instances)
	v.domains(c.Domains)
	v.upstreams(c.Upstreams)
	v.apis(c.APIs)
	v.groups(c.Groups)
	v.consumers(c.Consumers)
	v.global(c.GlobalAuthentication)
	v.prices(c.Prices)
	return v.faults
}

// validator walks a Config once. The names are collected first, so that a reference may stand before what it
// refers to.
type validator struct {
	faults Faults

	byID       map[string]*Instance
	byDomain   map[string]bool // lower case
	byUpstream map[string]*Upstream
	byAPI      map[string]bool
	byMCP      map[string]bool // those of byAPI that speak MCP
	byGroup    map[string]bool

	zones     map[string]bool   // judged time zones; loading one reads a file
	rules     map[string]string // digest of a JWT rule → the consumer that has it
	values    map[string]int    // index → how many consumers it leads to
	claims    map[string]bool
	places    map[Place]bool
	keyPlaces map[Place]bool
}

func newValidator(c *Config) *validator {
	v := &validator{
		byID: map[string]*Instance{}, byDomain: map[string]bool{DefaultDomain: true},
		byUpstream: map[string]*Upstream{}, byAPI: map[string]bool{}, byMCP: map[string]bool{}, byGroup: map[string]bool{},
		zones: map[string]bool{}, rules: map[string]string{}, values: map[string]int{},
		claims: map[string]bool{}, places: map[Place]bool{}, keyPlaces: map[Place]bool{},
	}
	for i := range c.Instances {
		v.byID[c.Instances[i].ID] = &c.Instances[i]
	}
	for i := range c.Domains {
		v.byDomain[lower(c.Domains[i].Name)] = true
	}
	for i := range c.Upstreams {
		v.byUpstream[c.Upstreams[i].Name] = &c.Upstreams[i]
	}
	for i := range c.APIs {
		v.byAPI[c.APIs[i].Name] = true
		v.byMCP[c.APIs[i].Name] = c.APIs[i].Type == MCP
	}
	for i := range c.Groups {
		v.byGroup[c.Groups[i].Name] = true
	}
	return v
}

// spot is the path of a value.
type spot string

func (s spot) key(name string) spot { return s + "." + spot(name) }
func (s spot) item(i int) spot      { return spot(fmt.Sprintf("%s[%d]", s, i)) }

func (v *validator) fault(at spot, format string, args ...any) {
	v.faults = append(v.faults, Fault{Path: string(at), Text: fmt.Sprintf(format, args...)})
}

// wrong adds a fault where a judgement of validate_words.go has one.
func (v *validator) wrong(at spot, judgement string) {
	if judgement != "" {
		v.fault(at, "%s", judgement)
	}
}

// name judges a name and its uniqueness among those seen.
func (v *validator) name(at spot, name string, seen map[string]bool) {
	switch {
	case name == "":
		v.fault(at, "is required and not empty")
	case !oauth.ValidName(name):
		v.fault(at, "is not a name; write 1 to 128 of A-Z a-z 0-9 . _ ~ -")
	case seen[name]:
		v.fault(at, "%q stands twice; give each a name of its own", name)
	}
	seen[name] = true
}

// known judges a reference to an object by name.
func known[T any](v *validator, at spot, what, name string, all map[string]T) {
	if _, ok := all[name]; !ok {
		var names []string
		if v.telling() {
			names = slices.Collect(maps.Keys(all))
		}
		v.dangling(at, what, name, names)
	}
}

// maxNamesTold bounds the names that a fault lists.
const maxNamesTold = 8

// telling reports whether a further fault will be printed, so that a wrong file costs no more than a right
// one.
func (v *validator) telling() bool { return len(v.faults) < maxPrintedFaults }

func (v *validator) dangling(at spot, what, name string, all []string) {
	if name == "" {
		v.fault(at, "is required and not empty; write the name of %s", what)
		return
	}
	told := "write the name of one that the file has"
	if len(all) == 0 && v.telling() {
		told = "there is none"
	} else if len(all) > 0 && v.telling() {
		slices.Sort(all)
		told = "write one of: " + strings.Join(all[:min(len(all), maxNamesTold)], ", ")
		if len(all) > maxNamesTold {
			told += ", …"
		}
	}
	v.fault(at, "%q is not %s; %s", name[:min(len(name), maxIdentifier)], what, told)
}

// oneOf judges a word, which may be absent.
func (v *validator) oneOf(at spot, word string, allowed ...string) {
	if word != "" && !slices.Contains(allowed, word) {
		v.fault(at, "is not one of the words it can be; write one of: %s", strings.Join(allowed, ", "))
	}
}

func (v *validator) status(at spot, s Status) {
	v.oneOf(at, string(s), string(Enabled), string(Disabled))
}

// unique judges a list of words that must not repeat, and must not be written and empty where absent means
// all.
func (v *validator) unique(at spot, list []string) {
	if list != nil && len(list) == 0 {
		v.fault(at, "is an empty list, which reads as absent; leave it out, or write its items")
	}
	seen := map[string]bool{}
	for i, item := range list {
		if seen[item] {
			v.fault(at.item(i), "stands twice in the list; write it once")
		}
		seen[item] = true
	}
}

// text judges free text.
func (v *validator) text(at spot, text string, required bool, most int) {
	if text == "" && required {
		v.fault(at, "is required and not empty")
		return
	}
	v.wrong(at, judgeText(text, most))
}

func (v *validator) positive(at spot, n int64) {
	if n < 0 {
		v.fault(at, "is negative; write a positive number, or leave it out for none")
	}
}

func (v *validator) zone(at spot, zone string) {
	if zone == "" {
		return
	}
	good, judged := v.zones[zone]
	if !judged {
		_, err := time.LoadLocation(zone)
		good = err == nil && zone != "Local"
		v.zones[zone] = good
	}
	if !good {
		v.fault(at, "is not a time zone; write a name of the IANA database such as Asia/Shanghai, or UTC")
	}
}
