package config

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"strings"
	"text/tabwriter"
)

// Environment prints a table of all environment variables: which key each
// sets, what it is without, and what it means.
func Environment(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "VARIABLE\tKEY\tDEFAULT\tMEANING")
	fmt.Fprintf(table, "%s\t-\t-\tThe configuration file.\n", FileVariable)
	for _, e := range schema().leaves() {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", e.env(), e.path, firstOf(e.defaultText(), "-"), e.meaning())
	}
	return table.Flush()
}

// defaultText is the default of a key as one would write it, or "" if it is
// empty.
func (e *entry) defaultText() string {
	p := place{entry: e, value: e.in(reflect.ValueOf(Default()))}
	if e.kind == sections || p.value.IsZero() && (e.kind == text || e.isList()) {
		return ""
	}
	switch v := p.visible().(type) {
	case []string:
		return strings.Join(v, ",")
	default:
		return fmt.Sprint(v)
	}
}

const referenceHead = `# Configuration

<!-- Made from internal/config: go test ./internal/config -run Reference -update -->

` + "`latchkey serve`" + ` runs without any configuration. All that it can be told is here. A value comes from, in this order: a flag,
an environment variable, the configuration file, the default. ` + "`latchkey config show --origin`" + ` prints what is in force and
where it came from, ` + "`latchkey config check`" + ` says everything that is wrong with a configuration, and ` + "`latchkey config env`" + `
lists the environment variables.

The configuration file is YAML. ` + "`--config`" + ` or ` + "`LATCHKEY_CONFIG`" + ` names it; none is read otherwise. Keys that do not exist, keys
that are there twice, and values of the wrong kind stop the start. Anchors, aliases, tags and several documents are not
accepted. A key without a value is as good as no key.

- **Durations** are whole numbers with units, such as ` + "`90d`, `12h`, `30m`, `1h30m`, `500ms`, or `0`" + `; there are w, d, h, m, s and ms.
- **Lists** in environment variables have commas or spaces between their elements; ` + "`LATCHKEY_ROUTES`" + ` is YAML or JSON. An
  empty variable is as good as none.
- **Secrets** can be in files of their own, which the keys that end in ` + "`_file`" + ` name. Such a file, and a configuration file with
  secrets in it, must not be accessible to others than its owner and its group.
- **Changes**: at SIGHUP (` + "`systemctl reload`" + `) a running server reads all of this again, and puts into force what the tables below mark
  with "reload". What they mark with "restart" it names in its log, and goes on with the old value. A configuration with a mistake
  anywhere changes nothing.
`

// Reference prints the reference of all keys, in Markdown.
func Reference(w io.Writer) error {
	var out bytes.Buffer
	out.WriteString(referenceHead)
	root := schema()
	var general []*entry
	for _, e := range root.children {
		if !e.isSection() && e.kind != sections {
			general = append(general, e)
		}
	}
	out.WriteString("\n## General\n")
	keyTable(&out, general)
	for _, e := range root.children {
		switch {
		case e.isSection():
			fmt.Fprintf(&out, "\n## %s\n\n%s\n", e.name, e.doc)
			keyTable(&out, e.leaves())
			for _, list := range e.leaves() {
				if list.kind == sections {
					fmt.Fprintf(&out, "\nEach element of `%s` has these keys.\n", list.path)
					elementTable(&out, list)
				}
			}
		case e.kind == sections:
			fmt.Fprintf(&out, "\n## %s\n\n%s A list; each element has the keys below. All of it is `%s` in the environment; a change needs a %s.\n", e.name, e.doc, e.env(), e.change())
			elementTable(&out, e)
		}
	}
	out.WriteString("\n## Flags\n\n| flag | key |\n|---|---|\n| `--config` | the configuration file |\n")
	for _, f := range keyFlags() {
		fmt.Fprintf(&out, "| `--%s` | `%s` |\n", f.name, f.key)
	}
	_, err := w.Write(out.Bytes())
	return err
}

func keyTable(out *bytes.Buffer, entries []*entry) {
	out.WriteString("\n| key, environment variable | default | change | meaning |\n|---|---|---|---|\n")
	for _, e := range entries {
		key := fmt.Sprintf("`%s`<br>`%s`", e.path, e.env())
		if e.envOnly {
			key = fmt.Sprintf("`%s`<br>(not in the file)", e.env())
		}
		fmt.Fprintf(out, "| %s | %s | %s | %s |\n", key, code(e.defaultText()), e.change(), cell(e))
	}
}

// change says what it takes to put a new value into force.
func (e *entry) change() string {
	if e.live {
		return "reload"
	}
	return "restart"
}

func elementTable(out *bytes.Buffer, list *entry) {
	out.WriteString("\n| key | default | meaning |\n|---|---|---|\n")
	for _, e := range list.children {
		p := place{entry: e, value: e.in(list.newElement())}
		text := fmt.Sprint(p.visible())
		if e.isList() {
			text = ""
		}
		fmt.Fprintf(out, "| `%s` | %s | %s |\n", e.name, code(text), cell(e))
	}
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

// cell is what a key means, with its range.
func cell(e *entry) string {
	s := e.meaning()
	if e.bounded {
		s += " Range: " + e.span() + "."
	}
	return strings.ReplaceAll(s, "|", `\|`)
}
