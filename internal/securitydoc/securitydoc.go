// Package securitydoc makes the page docs/security.md out of the tests: each
// statement about security with the tests that name it, or with the reason why
// there is nothing to test. Its own test fails when the page is stale, when a
// statement has neither, and when a test names one that does not exist.
//
// A test names a statement by its number (S68), in its comment or its body. It is a tool for this repository and no part of the server.
package securitydoc

import (
	"fmt"
	"slices"
	"strings"
)

// Statement is something that this server must be able to show.
type Statement struct {
	ID   string // "S01" to "S116"
	Text string

	// Absent says why there is nothing to show yet. It goes when a test names
	// the statement.
	Absent string

	// Note says what the tests leave out.
	Note string
}

// Chapter is a group of statements.
type Chapter struct {
	Title      string
	Statements []Statement
}

const heading = `# Security, statement by statement

Made from the tests by ` + "`make docs`" + `; do not edit. Each statement says what this server does, and is followed by the tests that fail when
it does not: ` + "`go test ./PACKAGE -run TEST`" + `, with ` + "`-tags e2e`" + ` for those in ` + "`e2e`" + `. Where there is nothing to test yet, it says why.
How to report a hole: [SECURITY.md](../SECURITY.md).

`

// Page returns the page for the tests that name each statement.
func Page(named map[string][]Test) string {
	var b strings.Builder
	shown, all := 0, 0
	for _, c := range Chapters() {
		for _, s := range c.Statements {
			all++
			if len(named[s.ID]) > 0 {
				shown++
			}
		}
	}
	b.WriteString(heading)
	fmt.Fprintf(&b, "Of %d statements %d are shown by tests. The others are about what this version does not have.\n", all, shown)
	for _, c := range Chapters() {
		fmt.Fprintf(&b, "\n## %s\n\n| | statement | shown by |\n|---|---|---|\n", c.Title)
		for _, s := range c.Statements {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", s.ID, s.Text, s.shownBy(named[s.ID]))
		}
	}
	return b.String()
}

// shownBy lists tests by package, or says why there are none.
func (s Statement) shownBy(tests []Test) string {
	if len(tests) == 0 {
		return "*" + s.Absent + "*"
	}
	var packages []string
	names := map[string][]string{}
	for _, t := range tests {
		if names[t.Package] == nil {
			packages = append(packages, t.Package)
		}
		names[t.Package] = append(names[t.Package], t.Name)
	}
	slices.Sort(packages)
	var parts []string
	for _, p := range packages {
		slices.Sort(names[p])
		parts = append(parts, "`"+p+"`: "+strings.Join(slices.Compact(names[p]), ", "))
	}
	text := strings.Join(parts, "; ")
	if s.Note != "" {
		text += ". *" + s.Note + "*"
	}
	return text
}

// Problems lists what is wrong between the statements and the tests.
func Problems(named map[string][]Test) []string {
	var problems []string
	known := map[string]bool{}
	for _, c := range Chapters() {
		for _, s := range c.Statements {
			known[s.ID] = true
			tests := named[s.ID]
			switch {
			case len(tests) == 0 && s.Absent == "":
				problems = append(problems, fmt.Sprintf("%s is named by no test and has no reason why: %s", s.ID, s.Text))
			case len(tests) > 0 && s.Absent != "":
				problems = append(problems, fmt.Sprintf("%s is shown by %s now: take its reason away (%s)", s.ID, tests[0].Name, s.Absent))
			}
		}
	}
	for id, tests := range named {
		if !known[id] {
			problems = append(problems, fmt.Sprintf("%s in %s names the statement %s, which does not exist", tests[0].Name, tests[0].Package, id))
		}
	}
	slices.Sort(problems)
	return problems
}
