// Package tickover_test keeps the repository honest: what a reviewer would have to look for again and again is looked for here.
package tickover_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	maxFileLines     = 520 // beyond it a file has a second noun that wants one of its own
	maxFunctionLines = 70  // what fits a screen
	maxFileBytes     = 500_000
)

// goFile is one parsed file of the repository.
type goFile struct {
	path  string
	lines int
	set   *token.FileSet
	tree  *ast.File
}

func goFiles(t *testing.T) (files []goFile) {
	t.Helper()
	walk(t, func(path string, _ []byte) {
		if !strings.HasSuffix(path, ".go") {
			return
		}
		set := token.NewFileSet()
		tree, err := parser.ParseFile(set, path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, goFile{path, set.Position(tree.FileEnd).Line, set, tree})
	})
	return files
}

// walk visits the files that git tracks or would track.
func walk(t *testing.T, visit func(path string, content []byte)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch d.Name() {
			case ".git", "node_modules", "bin", "data", ".build":
				return filepath.SkipDir
			}
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		visit(path, content)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFilesAndFunctionsFitAHead(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.lines > maxFileLines && !strings.HasSuffix(f.path, "_test.go") {
			t.Errorf("%s has %d lines, the limit is %d: split it by noun", f.path, f.lines, maxFileLines)
		}
		for _, d := range f.tree.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil || strings.HasSuffix(f.path, "_test.go") {
				continue
			}
			from, to := f.set.Position(fn.Pos()), f.set.Position(fn.End())
			if n := to.Line - from.Line + 1; n > maxFunctionLines {
				t.Errorf("%s: %s has %d lines, the limit is %d: what is its second half called?", from, fn.Name.Name, n, maxFunctionLines)
			}
		}
	}
}

// layers lists which of our packages a package must not import, and why.
var layers = map[string]map[string]string{
	"codec":     {"*": "it is the bottom: values and bytes"},
	"engine":    {"*": "it moves messages and knows nothing of what is in them"},
	"netcode":   {"engine": "the wire has no sockets", "rooms": "the wire knows no rooms", "sessions": "the wire knows no sessions", "node": "", "client": ""},
	"rooms":     {"cluster": "a room does not know who owns others", "engine": "rooms have no sockets", "sessions": "rooms do not know who watches", "node": "", "client": ""},
	"sessions":  {"node": "the wiring imports everything, nothing imports the wiring", "client": "the server does not need its client", "cluster": "sessions do not know where rooms are", "placement": "likewise", "examples": ""},
	"cluster":   {"engine": "a cluster has no sockets", "sessions": "a cluster knows no players", "placement": "", "node": "", "client": ""},
	"placement": {"engine": "it finds rooms, sessions have sockets", "node": "", "client": ""},
	"redisconn": {"*": "it connects, and knows nothing of what is stored"},
	"client":    {"engine": "a client must not share code paths with what it tests", "rooms": "likewise", "sessions": "likewise", "node": "likewise"},
	"loadtest":  {"engine": "a black box looks from outside", "rooms": "likewise", "sessions": "likewise"},
}

func TestImportsPointDownwards(t *testing.T) {
	for _, f := range goFiles(t) {
		if strings.HasSuffix(f.path, "_test.go") || strings.HasPrefix(f.path, "loadtest/floor") {
			continue
		}
		top, _, _ := strings.Cut(filepath.ToSlash(f.path), "/")
		for _, imp := range f.tree.Imports {
			path, ours := strings.CutPrefix(strings.Trim(imp.Path.Value, `"`), "tickover.dev/")
			if !ours {
				continue
			}
			target, _, _ := strings.Cut(path, "/")
			if target == top {
				continue
			}
			why, forbidden := layers[top][target]
			if all, any := layers[top]["*"]; any {
				why, forbidden = all, true
			}
			if forbidden {
				t.Errorf("%s imports %s: %s", f.path, path, why)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	said, seen := map[string]bool{}, map[string]bool{}
	for _, f := range goFiles(t) {
		if strings.HasSuffix(f.path, "_test.go") {
			continue
		}
		folder := filepath.Dir(f.path)
		seen[folder] = true
		said[folder] = said[folder] || f.tree.Doc != nil
	}
	for folder := range seen {
		if !said[folder] {
			t.Errorf("%s has no package comment", folder)
		}
	}
}

// vague names say nothing: what is in there has a name of its own.
var vague = regexp.MustCompile(`(^|/)(util|utils|helpers?|common|types|misc)(\.go|/)`)

func TestNamesSaySomething(t *testing.T) {
	walk(t, func(path string, content []byte) {
		if vague.MatchString(filepath.ToSlash(path)) {
			t.Errorf("%s: name it after what it is", path)
		}
		if len(content) > maxFileBytes && !strings.HasSuffix(path, ".png") {
			t.Errorf("%s has %d bytes: large files do not belong into the repository", path, len(content))
		}
	})
}

// A bare Sleep in a test hopes that something has happened. Polling with a bound, and synctest's clock, know it.
func TestNoTestHopes(t *testing.T) {
	for _, f := range goFiles(t) {
		if !strings.HasSuffix(f.path, "_test.go") {
			continue
		}
		source, err := os.ReadFile(f.path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(source, []byte("testing/synctest")) {
			continue
		}
		for i, line := range strings.Split(string(source), "\n") {
			if strings.Contains(line, "time."+"Sleep(") && !strings.Contains(line, "for ") && !strings.Contains(line, "// ") {
				t.Errorf("%s:%d sleeps: wait for what you mean, with a bound, or say in a comment on the line why time itself is meant", f.path, i+1)
			}
		}
	}
}

// What the README tells people to type must exist.
func TestReadmeCommandsExist(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	targets := regexp.MustCompile(`(?m)^make ([a-z-]+)`).FindAllSubmatch(readme, -1)
	if len(targets) < 2 {
		t.Fatalf("the README names %d make targets, want at least run and test", len(targets))
	}
	for _, m := range targets {
		if !bytes.Contains(makefile, []byte("\n"+string(m[1])+":")) {
			t.Errorf("README: make %s does not exist", m[1])
		}
	}
	prose := regexp.MustCompile("(?s)```.*?```").ReplaceAll(readme, nil)
	for _, m := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllSubmatch(prose, -1) {
		if _, err := os.Stat(string(m[1])); err != nil {
			t.Errorf("README links to %s: %v", m[1], err)
		}
	}
}

// A document that names a test which guards something must not go on naming it when it is gone.
func TestNamedTestsExist(t *testing.T) {
	have := map[string]bool{}
	for _, f := range goFiles(t) {
		for _, d := range f.tree.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				have[fn.Name.Name] = true
				have[filepath.Base(filepath.Dir(f.path))+"."+fn.Name.Name] = true
			}
		}
	}
	named := regexp.MustCompile("`((?:[a-z]\\w*\\.)?(?:Test|Benchmark|Fuzz)[A-Z]\\w*)`")
	walk(t, func(path string, content []byte) {
		if !strings.HasSuffix(path, ".md") {
			return
		}
		for _, m := range named.FindAllSubmatch(content, -1) {
			if !have[string(m[1])] {
				t.Errorf("%s names %s, which is not there", path, m[1])
			}
		}
	})
}

// A replace would build here and nowhere else.
func TestModuleStandsAlone(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(mod, []byte("\nreplace ")) {
		t.Error("go.mod has a replace")
	}
	for _, pin := range []string{"github.com/panjf2000/gnet/v2 v2.10.0", "github.com/gobwas/ws v1.5.0", "github.com/vmihailenco/msgpack/v5 v5.4.1"} {
		if !bytes.Contains(mod, []byte(pin)) {
			t.Errorf("go.mod does not pin %s", pin)
		}
	}
}

// The sources have no path of the machine they were written on, and no generated file is newer than what it is made of: the
// bundle's own check does that for the page.
func TestNothingPointsOutside(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("no git here")
	}
	home := regexp.MustCompile(`/(work|root)/[a-z]+/`)
	walk(t, func(path string, content []byte) {
		if strings.HasSuffix(path, ".png") || path == "tidy_test.go" {
			return
		}
		if m := home.Find(content); m != nil {
			t.Errorf("%s names a path of one machine: %s", path, m)
		}
	})
}
