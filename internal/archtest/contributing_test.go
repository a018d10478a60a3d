package archtest

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const root = "../.."

// table returns what stands in code marks in the first column of the table in a
// section of CONTRIBUTING.md.
func table(t *testing.T, section string) []string {
	t.Helper()
	_, text, found := strings.Cut(page(t, "CONTRIBUTING.md"), "\n## "+section+"\n")
	if !found {
		t.Fatalf("CONTRIBUTING.md has no section %q", section)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	var names []string
	for line := range strings.Lines(text) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			for _, match := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[1], -1) {
				names = append(names, match[1])
			}
		}
	}
	return names
}

// TestDependenciesHaveReasons holds the table of dependencies to go.mod.
func TestDependenciesHaveReasons(t *testing.T) {
	out, err := exec.Command("go", "mod", "edit", "-json", filepath.Join(root, "go.mod")).Output()
	if err != nil {
		t.Fatal(err)
	}
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	var direct []string
	for _, r := range mod.Require {
		if !r.Indirect {
			direct = append(direct, r.Path)
		}
	}
	rows := table(t, "Dependencies")
	slices.Sort(direct)
	slices.Sort(rows)
	if diff := cmp.Diff(direct, rows); diff != "" {
		t.Errorf("the dependencies of CONTRIBUTING.md are not the direct ones of go.mod (-go.mod +page):\n%s", diff)
	}
}

// TestPackagesAreInTheHouse holds the table of packages to what there is: each
// package, or one above it, has a row, and each row a package.
func TestPackagesAreInTheHouse(t *testing.T) {
	packages := map[string]bool{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && d.Name() != "..") {
			return filepath.SkipDir
		}
		if err == nil && strings.HasSuffix(file, ".go") {
			name, err := filepath.Rel(root, filepath.Dir(file))
			packages[filepath.ToSlash(name)] = true
			return err
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	rows := table(t, "The house")
	for _, name := range rows {
		if strings.Contains(name, "/") && !packages[name] {
			t.Errorf("the house of CONTRIBUTING.md has %s, which is no package", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(packages)) {
		at := name
		for at != "." && !slices.Contains(rows, at) {
			at = path.Dir(at)
		}
		if at == "." {
			t.Errorf("the house of CONTRIBUTING.md does not have %s", name)
		}
	}
}
