package main

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

func testRoot() *cobra.Command {
	return newRootCommand(&environment{
		stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard,
		getenv: func(string) string { return "" },
	})
}

// walk visits a command and all below it.
func walk(c *cobra.Command, visit func(*cobra.Command)) {
	visit(c)
	for _, below := range c.Commands() {
		walk(below, visit)
	}
}

// runnable reports whether a command does something of its own.
func runnable(c *cobra.Command) bool { return c.Runnable() }

func TestEveryCommandIsExplained(t *testing.T) {
	n := 0
	walk(testRoot(), func(c *cobra.Command) {
		n++
		if c.Short == "" || c.Long == "" {
			t.Errorf("%s: there is no text about it", c.CommandPath())
		}
		if strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: the short text %q ends in a full stop", c.CommandPath(), c.Short)
		}
		takes := strings.Contains(c.Use, " ")
		if takes && runnable(c) && c.Example == "" {
			t.Errorf("%s: there is no example, but it takes arguments", c.CommandPath())
		}
		for i, line := range strings.Split(c.Long+"\n"+c.Example, "\n") {
			if len(line) > 100 {
				t.Errorf("%s: line %d of the text has %d characters", c.CommandPath(), i+1, len(line))
			}
		}
	})
	if n < 40 {
		t.Errorf("got %d commands, want all of them", n)
	}
}

// TestExamplesCanBeRun checks that what the examples show exists: commands,
// flags, and the number of arguments.
func TestExamplesCanBeRun(t *testing.T) {
	n := 0
	walk(testRoot(), func(c *cobra.Command) {
		for line := range strings.Lines(c.Example) {
			for _, part := range strings.Split(line, "&&") {
				words, ok := shellWords(t, part)
				if !ok {
					continue
				}
				n++
				root := testRoot()
				root.SilenceErrors = true
				found, rest, err := root.Find(words)
				if err != nil || !runnable(found) || found == root {
					t.Errorf("%s: the example %q is no command", c.CommandPath(), line)
					continue
				}
				if err := found.ParseFlags(rest); err != nil {
					t.Errorf("%s: the example %q: %v", c.CommandPath(), line, err)
					continue
				}
				if found.Args != nil {
					if err := found.Args(found, found.Flags().Args()); err != nil {
						t.Errorf("%s: the example %q: %v", c.CommandPath(), line, err)
					}
				}
			}
		}
	})
	if n < 60 {
		t.Errorf("got %d examples, want many", n)
	}
}

// shellWords takes the latchkey command line out of an example, as a shell
// would: quotes, redirections, pipes, and remarks after wide gaps.
func shellWords(t *testing.T, line string) ([]string, bool) {
	line = strings.TrimSpace(line)
	if i := strings.Index(line, "   "); i > 0 {
		line = line[:i]
	}
	line, _, _ = strings.Cut(line, " | ")
	line, _, _ = strings.Cut(line, " >> ")
	line, _, _ = strings.Cut(line, " > ")
	line, _, _ = strings.Cut(line, " < ")
	_, line, found := strings.Cut(line, "latchkey ")
	if !found {
		return nil, false
	}
	var words []string
	word, quote := "", rune(0)
	for _, r := range line + " " {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote = r
		case quote == 0 && r == ' ':
			if word != "" {
				words = append(words, word)
			}
			word = ""
		default:
			word += string(r)
		}
	}
	if quote != 0 {
		t.Errorf("the example %q has an open quote", line)
	}
	return words, true
}

// TestNoFlagTakesASecret keeps passwords away from the command line. The one
// exception warns about itself.
func TestNoFlagTakesASecret(t *testing.T) {
	walk(testRoot(), func(c *cobra.Command) {
		if c.Flags().Lookup("password") != nil {
			t.Errorf("%s has a flag --password", c.CommandPath())
		}
		if f := c.Flags().Lookup("token"); f != nil && !strings.Contains(f.Usage, "others on this machine can see") {
			t.Errorf("%s: --token does not warn", c.CommandPath())
		}
	})
}

// TestHelpTopicsMatchTheCode keeps the texts in step with what they describe.
func TestHelpTopicsMatchTheCode(t *testing.T) {
	var codes []string
	for line := range strings.Lines(exitCodesLong) {
		if rest, found := strings.CutPrefix(line, "  "); found {
			code, _, _ := strings.Cut(rest, " ")
			codes = append(codes, code)
		}
	}
	if diff := cmp.Diff([]string{"0", "1", "2", "3", "4", "5", "6", "7"}, codes); diff != "" {
		t.Errorf("exit codes in the help text (-want +got):\n%s", diff)
	}
	for _, file := range []string{"connection.go", "login.go"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.Split(string(source), `getenv("`)[1:] {
			name, _, _ := strings.Cut(part, `"`)
			if !strings.Contains(environmentLong, name+" ") {
				t.Errorf("%s reads %s, which 'latchkey help environment' does not name", file, name)
			}
		}
	}
}
