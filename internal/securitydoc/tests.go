package securitydoc

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Test is a test function.
type Test struct {
	Package string // its folder, from the root of the repository
	Name    string
}

// statementID leaves out names such as S256, which is a hash.
var statementID = regexp.MustCompile(`\bS(?:[0-9]{2}|1[0-9]{2})\b`)

// itself has numbers in its tests that name no statement.
const itself = "internal/securitydoc"

// Tests returns the tests below a folder by the statements that they name. A
// function that is no test names a statement for all tests of its package that
// lead to it.
func Tests(root fs.FS) (map[string][]Test, error) {
	folders := map[string][]string{}
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == itself:
			return fs.SkipDir
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case !d.IsDir() && strings.HasSuffix(name, "_test.go"):
			folders[path.Dir(name)] = append(folders[path.Dir(name)], name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	named := map[string][]Test{}
	for folder, files := range folders {
		p := functions{}
		for _, name := range files {
			if err := p.read(root, name); err != nil {
				return nil, err
			}
		}
		for id, tests := range p.named() {
			for _, name := range tests {
				named[id] = append(named[id], Test{Package: folder, Name: name})
			}
		}
	}
	for _, tests := range named {
		slices.SortFunc(tests, func(a, b Test) int { return strings.Compare(a.Package+" "+a.Name, b.Package+" "+b.Name) })
	}
	return named, nil
}

// functions are those of one folder's tests, by name. Functions of the same
// name, as methods can have, count as one.
type functions map[string]*function

type function struct {
	statements []string
	mentions   map[string]bool // names in its body
}

// read adds the functions of a file. What stands outside of functions belongs
// to whatever uses the declaration, by its name.
func (p functions) read(root fs.FS, name string) error {
	source, err := fs.ReadFile(root, name)
	if err != nil {
		return err
	}
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, source, parser.ParseComments)
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	for _, d := range file.Decls {
		begin, end := d.Pos(), d.End()
		var names []string
		switch d := d.(type) {
		case *ast.FuncDecl:
			names = []string{d.Name.Name}
			if d.Doc != nil {
				begin = d.Doc.Pos()
			}
		case *ast.GenDecl:
			if d.Doc != nil {
				begin = d.Doc.Pos()
			}
			names = declared(d)
		}
		text := source[files.Position(begin).Offset:files.Position(end).Offset]
		for _, n := range names {
			p.add(n, statementID.FindAllString(string(text), -1), d)
		}
	}
	return nil
}

// declared lists the names of variables, constants and types.
func declared(d *ast.GenDecl) []string {
	var names []string
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.ValueSpec:
			for _, n := range s.Names {
				names = append(names, n.Name)
			}
		case *ast.TypeSpec:
			names = append(names, s.Name.Name)
		}
	}
	return names
}

func (p functions) add(name string, statements []string, d ast.Decl) {
	f := p[name]
	if f == nil {
		f = &function{mentions: map[string]bool{}}
		p[name] = f
	}
	f.statements = append(f.statements, statements...)
	ast.Inspect(d, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			f.mentions[id.Name] = true
		}
		return true
	})
}

// named returns the tests by the statements that they lead to.
func (p functions) named() map[string][]string {
	named := map[string][]string{}
	for _, test := range slices.Sorted(maps.Keys(p)) {
		if !isTest(test) {
			continue
		}
		for id := range p.reached(test) {
			named[id] = append(named[id], test)
		}
	}
	return named
}

// reached lists the statements of a test and of what it uses that is no test.
func (p functions) reached(test string) map[string]bool {
	statements, seen := map[string]bool{}, map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		f := p[name]
		if f == nil || seen[name] || name != test && isTest(name) {
			return
		}
		seen[name] = true
		for _, id := range f.statements {
			statements[id] = true
		}
		for other := range f.mentions {
			visit(other)
		}
	}
	visit(test)
	return statements
}

func isTest(name string) bool {
	return strings.HasPrefix(name, "Test") && name != "TestMain" || strings.HasPrefix(name, "Fuzz") || strings.HasPrefix(name, "Benchmark")
}
