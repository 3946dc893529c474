// Package tests drives the built binaries over sockets, as their users do, and holds the tree to its structure.
package tests

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pkg is what `go list` says of a package.
type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
	GoFiles    []string
	Dir        string
}

func packages(t *testing.T, pattern ...string) []pkg {
	t.Helper()
	list := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,Deps,GoFiles,Dir"}, pattern...)...)
	list.Dir = ".."
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// room is the first folder under shared/, "functions" or "tests" for the others.
func room(importPath string) string {
	path, ours := strings.CutPrefix(importPath, "keyless/")
	if !ours {
		return ""
	}
	if inner, shared := strings.CutPrefix(path, "shared/"); shared {
		first, _, _ := strings.Cut(inner, "/")
		return first
	}
	first, _, _ := strings.Cut(path, "/")
	return first
}

var edges = []string{"token", "proxy", "authorizer", "admin", "discovery", "command"}

// mayImport says which of our rooms a room may import, besides itself. A room that is not named here may import config only.
var mayImport = map[string][]string{
	"oauth":    {},
	"seal":     {},
	"config":   {},
	"registry": {"oauth", "seal"},
	"auth":     {"registry", "oauth"},
	"jwks":     {"oauth", "seal"},
	"keyring":  {"oauth", "seal"},
	"quota":    {"registry", "ledger", "oauth", "seal"}, // limits are the registry's words, and a settlement writes the ledger: edges need no translation
	"ledger":   {"registry", "oauth", "seal"},
	"trail":    {"registry", "oauth"}, // what explain can be asked about afterwards
	"demo":     {},
	"cloud":    {"seal"},
	"process":  {"cloud", "config", "registry", "seal", "accesslog", "platform"},

	"token":      {"auth", "registry", "oauth", "seal", "config", "accesslog"},
	"discovery":  {"registry", "oauth", "config", "accesslog"},
	"proxy":      {"auth", "cloud", "registry", "quota", "ledger", "oauth", "seal", "config", "accesslog"},
	"authorizer": {"auth", "registry", "quota", "oauth", "config", "accesslog"},
	"admin":      {"auth", "registry", "keyring", "quota", "ledger", "oauth", "seal", "config", "accesslog"},
	"console":    {"admin", "auth", "oauth", "seal", "config", "accesslog"}, // a client of the admin API, in the same process
}

func TestStructureRoomsImportWhatTheyMay(t *testing.T) {
	for _, p := range packages(t, "./shared/...") {
		from := room(p.ImportPath)
		if from == "command" { // wires everything into one process
			continue
		}
		allowed, named := mayImport[from]
		if !named {
			allowed = []string{"config"}
		}
		for _, imported := range p.Imports {
			to := room(imported)
			if to != "" && to != from && !slices.Contains(allowed, to) {
				t.Errorf("%s imports %s: %s may import %v only", p.ImportPath, imported, from, allowed)
			}
		}
	}
}

func TestStructureNothingImportsDoorsAndTestsImportNothingOfOurs(t *testing.T) {
	for _, p := range packages(t, "./...") {
		for _, imported := range p.Imports {
			if strings.HasPrefix(imported, "keyless/functions/") {
				t.Errorf("%s imports a door: %s", p.ImportPath, imported)
			}
			if room(p.ImportPath) == "tests" && strings.HasPrefix(imported, "keyless/shared") {
				t.Errorf("%s imports %s: tests are black box", p.ImportPath, imported)
			}
		}
	}
}

// vendors have rooms: which files may import a vendor's package.
var vendors = map[string]func(room, file string) bool{
	"github.com/aws/aws-lambda-go/":  func(r, _ string) bool { return r == "platform" || r == "authorizer" },
	"github.com/aliyun/":             func(r, _ string) bool { return r == "platform" },
	"github.com/redis/go-redis/":     func(_, f string) bool { return f == "redis.go" || f == "connect.go" || strings.HasPrefix(f, "redis_") },
	"github.com/lestrrat-go/jwx/":    func(r, f string) bool { return r == "keyring" || r == "jwks" || r == "token" || f == "jwt.go" },
	"github.com/alicebob/miniredis/": func(r, _ string) bool { return r == "registry" },
	"github.com/smallstep/pkcs7":     func(r, _ string) bool { return r == "token" },
	"go.yaml.in/yaml/":               func(r, _ string) bool { return r == "registry" },
	"net/http/httputil":              func(string, string) bool { return false },
}

func TestStructureVendorsStayInTheirRooms(t *testing.T) {
	for _, p := range packages(t, "./shared/...", "./functions/...") {
		for _, file := range p.GoFiles {
			text, err := os.ReadFile(filepath.Join(p.Dir, file))
			if err != nil {
				t.Fatal(err)
			}
			for vendor, allowed := range vendors {
				if bytes.Contains(text, []byte(`"`+vendor)) && !allowed(room(p.ImportPath), file) {
					t.Errorf("%s/%s imports %s outside its room", p.ImportPath, file, vendor)
				}
			}
		}
	}
}

func TestStructureLinksOnlyWhatAFunctionUses(t *testing.T) {
	forbidden := map[string][]string{
		"keyless/shared/keyring":           {"jwks", "proxy", "authorizer"}, // private keys live where tokens are minted or rotated
		"keyless/shared/registry/file":     {"token", "jwks", "proxy", "authorizer", "admin"},
		"keyless/shared/registry/embedded": {"token", "jwks", "proxy", "authorizer", "admin"},
		"keyless/shared/demo":              {"token", "jwks", "proxy", "authorizer", "admin"},
		"github.com/alicebob/miniredis/v2": {"token", "jwks", "proxy", "authorizer", "admin"},
		"testing":                          {"token", "jwks", "proxy", "authorizer", "admin", "keyless"},
	}
	for _, p := range packages(t, "./functions/...") {
		name := strings.TrimPrefix(p.ImportPath, "keyless/functions/")
		for dependency, functions := range forbidden {
			if slices.Contains(functions, name) && slices.Contains(p.Deps, dependency) {
				t.Errorf("function %s links %s", name, dependency)
			}
		}
	}
}

func TestStructureEdgesNeverImportEachOther(t *testing.T) {
	for _, p := range packages(t, "./shared/...") {
		from := room(p.ImportPath)
		if from == "command" || !slices.Contains(edges, from) {
			continue
		}
		for _, imported := range p.Imports {
			if to := room(imported); to != from && slices.Contains(edges, to) {
				t.Errorf("edge %s imports edge %s", from, to)
			}
		}
	}
}

func TestStructureTopLevelIsAsAgreed(t *testing.T) {
	agreed := []string{"functions", "shared", "infra", "events", "tests", "go.mod", "go.sum", "Makefile", "template.yaml", "README.md"}
	hidden := []string{".ci", ".git", ".gitignore", ".golangci.yml", ".keyless", ".aws-sam", "dist"}
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		found = append(found, e.Name())
		if !slices.Contains(agreed, e.Name()) && !slices.Contains(hidden, e.Name()) {
			t.Errorf("%s stands at the top level", e.Name())
		}
	}
	for _, name := range agreed {
		if !slices.Contains(found, name) {
			t.Errorf("%s is missing at the top level", name)
		}
	}
}

func TestStructureFilesAndDoorsStaySmall(t *testing.T) {
	const longest, door = 400, 60
	err := filepath.WalkDir("..", func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		text, err := os.ReadFile(path)
		lines := bytes.Count(text, []byte("\n"))
		if lines > longest && !strings.HasSuffix(path, "_test.go") {
			t.Errorf("%s has %d lines, at most %d", path, lines, longest)
		}
		if strings.HasPrefix(path, "../functions/") && lines > door {
			t.Errorf("%s has %d lines, a door has at most %d", path, lines, door)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestStructureMakeTargetsHaveHelp(t *testing.T) {
	text, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range strings.Fields("help run demo build check test vectors fuzz bench lint vuln clean") {
		if !bytes.Contains(text, []byte("\n"+target+": ##")) {
			t.Errorf("make %s has no help line", target)
		}
	}
}
