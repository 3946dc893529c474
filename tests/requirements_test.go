package tests

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// requirements are those of the identity half and of who verifies its tokens: each with the section that asks for it; "practice" where
// no RFC does. T requests to the token endpoint, C client authentication, S scopes and resources, A the answer, J the token, K the key
// set, M metadata, X introspection, revocation, exchange and binding, V verifying, B bearer use, F fetching key sets, L authorizers.
var requirements = map[string]string{
	"T01": "RFC 6749 §3.2", "T02": "RFC 6749 §4.4.2", "T03": "RFC 6749 §3.2", "T04": "RFC 6749 §3.2", "T05": "RFC 6749 §3.2",
	"T06": "RFC 6749 §2.3.1", "T07": "RFC 6749 §5.2", "T08": "RFC 6749 §5.2", "T09": "practice", "T10": "RFC 6749 appendix B",
	"T11": "RFC 6749 §5.2", "T12": "RFC 9700 §4.12", "T13": "practice",

	"C01": "RFC 6749 §2.3.1", "C02": "practice", "C03": "RFC 9110 §11.1", "C04": "RFC 6749 §2.3", "C05": "RFC 7521 §4.2",
	"C06": "RFC 6749 §5.2", "C07": "RFC 6749 §5.2", "C08": "RFC 6749 §10.1", "C09": "RFC 6749 §10.10", "C10": "practice",
	"C11": "RFC 7591 §2", "C12": "RFC 7523 §3", "C13": "RFC 7523 §2.2", "C14": "RFC 7591 §2", "C15": "RFC 8705 §2.1",
	"C16": "RFC 8705 §6.5", "C17": "practice", "C18": "RFC 6749 §2.3.1", "C19": "RFC 6749 §4.4",

	"S01": "RFC 6749 §3.3", "S02": "RFC 6749 §3.3", "S03": "RFC 6749 §3.3", "S04": "RFC 6749 §3.3", "S05": "RFC 8707 §2",
	"S06": "RFC 9068 §3", "S07": "RFC 9068 §3", "S08": "practice", "S09": "practice",

	"A01": "RFC 6749 §5.1", "A02": "RFC 6749 §5.1", "A03": "RFC 6749 §4.4.3", "A04": "practice", "A05": "RFC 6749 §5.2",

	"J01": "RFC 9068 §2.1", "J02": "RFC 9068 §2.2", "J03": "RFC 9068 §2.2", "J04": "RFC 9068 §2.2.3", "J05": "RFC 7519 §4.1.7",
	"J06": "practice", "J07": "RFC 9068 §2.1", "J08": "RFC 7518 §3.4", "J09": "RFC 7518 §3.5", "J10": "RFC 7518 §3.2",
	"J11": "RFC 7518 §3.3", "J12": "RFC 8037 §3.1", "J13": "practice", "J14": "RFC 7519 §2", "J15": "practice", "J16": "RFC 8725 §3.8",

	"K01": "RFC 7517 §5", "K02": "RFC 7517 §9.2", "K03": "RFC 7517 §4", "K04": "RFC 9111 §5.2.2.1", "K05": "practice", "K06": "practice",
	"K07": "RFC 7517 §9.2", "K08": "RFC 7517 §5", "K09": "practice",

	"M01": "RFC 8414 §3", "M02": "RFC 8414 §3.3", "M03": "RFC 8414 §2", "M04": "practice", "M05": "RFC 9728 §3.1", "M06": "RFC 9728 §5.1",
	"M07": "RFC 8414 §3.2",

	"X01": "RFC 7662 §2.1", "X02": "RFC 7662 §2.2", "X03": "RFC 7662 §4", "X04": "RFC 7009 §2.2", "X05": "RFC 7009 §3",
	"X06": "RFC 8693 §2.1", "X07": "RFC 9449 §4.3", "X08": "RFC 9449 §7.2", "X09": "RFC 8705 §3",

	"V01": "RFC 7515 §2", "V02": "RFC 7519 §1", "V03": "practice", "V04": "RFC 7515 §4", "V05": "RFC 8725 §3.1", "V06": "RFC 8725 §2.1",
	"V07": "RFC 8725 §3.10", "V08": "RFC 8725 §3.10", "V09": "RFC 7515 §4.1.11", "V10": "RFC 9068 §4", "V11": "RFC 7517 §4.2",
	"V12": "RFC 8725 §3.5", "V13": "RFC 7518 §3.5", "V14": "RFC 8725 §3.8", "V15": "RFC 8725 §3.9", "V16": "RFC 7519 §4.1.4",
	"V17": "RFC 7519 §4.1.5", "V18": "RFC 7519 §5.2", "V19": "RFC 6750 §3.1", "V20": "RFC 8725 §3.7", "V21": "RFC 6750 §3.1",
	"V22": "practice",

	"B01": "RFC 6750 §2.1", "B02": "RFC 6750 §2", "B03": "RFC 6750 §2.3", "B04": "RFC 6750 §3.1", "B05": "RFC 6750 §3.1",
	"B06": "practice", "B07": "RFC 9700 §4.13", "B08": "practice",

	"F01": "RFC 8725 §3.10", "F02": "practice", "F03": "practice", "F04": "practice", "F05": "practice", "F06": "practice",
	"F07": "RFC 9111 §5.2.2.1", "F08": "practice", "F09": "practice", "F10": "RFC 5861 §4", "F11": "practice", "F12": "practice",
	"F13": "practice", "F14": "practice", "F15": "practice", "F16": "practice", "F17": "practice",

	"L01": "practice", "L02": "practice", "L03": "practice", "L04": "practice", "L05": "practice", "L06": "practice",
}

// Each requirement is in the name of a test: of a function, of a row of its table, or of what it runs within. And where an RFC asks for
// it, one of the tests that bear the name cites the section.
func TestRequirementsEachHaveANamedTest(t *testing.T) {
	if len(requirements) != 140 {
		t.Errorf("%d requirements, there are 140", len(requirements))
	}
	bearers := map[string][]named{}
	for _, n := range append(goTests(t), nodeTests(t)...) {
		for _, id := range n.ids {
			bearers[id] = append(bearers[id], n)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(requirements)) {
		source, tests := requirements[id], bearers[id]
		if len(tests) == 0 {
			t.Errorf("%s (%s): no test bears the name", id, source)
			continue
		}
		if source != "practice" && !slices.ContainsFunc(tests, func(n named) bool { return cites(n.text, source) }) {
			t.Errorf("%s: %s cites no %s", id, tests[0].where, source)
		}
	}
}

// named is a piece of a test file with the requirements in the names of its tests.
type named struct {
	where string
	ids   []string
	text  string // with the comment above it
}

var idIn = regexp.MustCompile(`[A-Z][0-9]+`)

// idsOf are the requirements in a name.
func idsOf(names []string) []string {
	var ids []string
	for _, name := range names {
		for _, id := range idIn.FindAllString(name, -1) {
			if requirements[id] != "" {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// otherRows are test files with rows of other lists that are called C and J too.
var otherRows = regexp.MustCompile(`shared/proxy/|tests/(abuse|upstream|keysets)`)

// goTests are the declarations of all test files but this one.
func goTests(t *testing.T) []named {
	t.Helper()
	var all []named
	for _, path := range filesOf(t, "..", "_test.go") {
		if path == filepath.Join("..", "tests", "requirements_test.go") {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, declared := range file.Decls {
			from, to := declared.Pos(), declared.End()
			if comment := commentOf(declared); comment != nil {
				from = comment.Pos()
			}
			ids := idsOf(namesIn(declared))
			if otherRows.MatchString(filepath.ToSlash(path)) {
				ids = slices.DeleteFunc(ids, func(id string) bool { return id[0] == 'C' || id[0] == 'J' })
			}
			all = append(all, named{
				where: files.Position(declared.Pos()).String(), ids: ids,
				text: string(text[files.Position(from).Offset:files.Position(to).Offset]),
			})
		}
	}
	return all
}

func commentOf(declared ast.Decl) *ast.CommentGroup {
	switch d := declared.(type) {
	case *ast.FuncDecl:
		return d.Doc
	case *ast.GenDecl:
		return d.Doc
	}
	return nil
}

// namesIn are the names of a declaration's tests: its own, the keys of its tables, and what it gives to Run.
func namesIn(declared ast.Decl) []string {
	var names []string
	if f, is := declared.(*ast.FuncDecl); is && strings.HasPrefix(f.Name.Name, "Test") {
		names = append(names, f.Name.Name)
	}
	literal := func(e ast.Expr) {
		if l, is := e.(*ast.BasicLit); is && l.Kind == token.STRING {
			if name, err := strconv.Unquote(l.Value); err == nil {
				names = append(names, name)
			}
		}
	}
	ast.Inspect(declared, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.KeyValueExpr:
			literal(n.Key)
		case *ast.CallExpr:
			if f, is := n.Fun.(*ast.SelectorExpr); is && f.Sel.Name == "Run" && len(n.Args) > 0 {
				literal(n.Args[0])
			}
		}
		return true
	})
	return names
}

// nodeTests are the tests of npm's clients.
func nodeTests(t *testing.T) []named {
	t.Helper()
	var all []named
	for _, path := range filesOf(t, "npm", ".mjs") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, piece := range strings.Split(string(text), "test(")[1:] {
			name, _, _ := strings.Cut(piece, "\n")
			all = append(all, named{where: path, ids: idsOf([]string{name}), text: piece})
		}
	}
	return all
}

func filesOf(t *testing.T, root, end string) []string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() && (e.Name() == "node_modules" || e.Name() == "dist" || e.Name() != ".." && strings.HasPrefix(e.Name(), ".")) {
			return fs.SkipDir
		}
		if err == nil && strings.HasSuffix(path, end) {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// cites reports whether a text names the section, alone ("RFC 6749 §5.2") or in a list ("RFC 6749 §5.1, §5.2").
func cites(text, source string) bool {
	rfc, section, is := strings.Cut(source, " §")
	if !is {
		return strings.Contains(text, source)
	}
	const next = `[, ]+(?:and )?§`
	named := rfc + `(?:` + next + `[\w.]+)*` + next + regexp.QuoteMeta(section) + `(?:[^.\w]|\.[^\w]|$)`
	return regexp.MustCompile(named).MatchString(text)
}
