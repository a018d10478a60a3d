package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newManCommand prints the manual page, for those who make packages.
func newManCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:     "man",
		Short:   "Print the manual page",
		Long:    "Print the manual page of all commands, in the form that man(1) reads.",
		Example: "  latchkey man > /usr/local/share/man/man1/latchkey.1",
		Args:    arguments(),
		Hidden:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(env.stdout, manual(cmd.Root(), thisBuild().Version))
			return err
		},
	}
}

// manual writes the texts of a tree of commands in the language of man(7).
func manual(root *cobra.Command, version string) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 1 \"\" \"%s %s\"\n", strings.ToUpper(root.Name()), root.Name(), roff(version))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", root.Name(), roff(root.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n.I command\n[\\fIflags\\fR] [\\fIarguments\\fR]\n", root.Name())
	b.WriteString(".SH DESCRIPTION\n" + literal(root.Long))
	b.WriteString(".SH COMMANDS\n")
	var topics []*cobra.Command
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			switch {
			case sub.Hidden:
			case sub.IsAdditionalHelpTopicCommand():
				topics = append(topics, sub)
			default:
				manualOf(&b, sub)
				visit(sub)
			}
		}
	}
	visit(root)
	for _, c := range topics {
		fmt.Fprintf(&b, ".SH %s\n%s", roff(strings.ToUpper(strings.ReplaceAll(c.Name(), "-", " "))), literal(c.Long))
	}
	return b.String()
}

// manualOf writes the section of one command.
func manualOf(b *strings.Builder, c *cobra.Command) {
	fmt.Fprintf(b, ".SS %s\n", roff(c.UseLine()))
	b.WriteString(literal(c.Long))
	c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		name := "\\-\\-" + roff(f.Name)
		if f.Shorthand != "" {
			name = "\\-" + roff(f.Shorthand) + ", " + name
		}
		fmt.Fprintf(b, ".TP\n\\fB%s\\fR \\fI%s\\fR\n%s\n", name, roff(value), roff(usage))
	})
	if c.Example != "" {
		b.WriteString(".PP\nExamples:\n" + literal(c.Example))
	}
}

// literal is text whose lines stay as they are.
func literal(text string) string {
	if text == "" {
		return ""
	}
	return ".PP\n.nf\n" + roff(strings.Trim(text, "\n")) + "\n.fi\n"
}

// roff escapes what means something to man: the backslash, the hyphen, which
// would become another character, and lines that begin with a dot or a quote.
// Not every terminal of man has an ellipsis.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...").Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
