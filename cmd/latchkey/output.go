package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"unicode"
)

// format is how results are printed. It is a flag's value.
type format string

const (
	formatTable format = "table"
	formatJSON  format = "json"
)

// String returns the format's name.
func (f *format) String() string { return string(*f) }

// Type is what help texts call the value.
func (f *format) Type() string { return "format" }

// Set reads a format's name.
func (f *format) Set(text string) error {
	switch format(text) {
	case formatTable, formatJSON:
		*f = format(text)
		return nil
	}
	return fmt.Errorf("it is %s or %s", formatTable, formatJSON)
}

// column is a column of a table.
type column[T any] struct {
	title string
	cell  func(T) string
}

// printList prints a list: as one JSON array, as a table, or, when being
// quiet, what names each item and nothing else.
func printList[T any](env *environment, items []T, name func(T) string, columns []column[T]) error {
	if env.flags.output == formatJSON {
		if items == nil {
			items = []T{}
		}
		return env.printJSON(items)
	}
	if env.flags.quiet {
		for _, item := range items {
			if _, err := fmt.Fprintln(env.stdout, printable(name(item))); err != nil {
				return err
			}
		}
		return nil
	}
	if len(items) == 0 {
		env.say("there are none")
		return nil
	}
	w := tabwriter.NewWriter(env.stdout, 0, 0, 2, ' ', 0)
	cells := make([]string, len(columns))
	for i, c := range columns {
		cells[i] = c.title
	}
	fmt.Fprintln(w, strings.Join(cells, "\t"))
	for _, item := range items {
		for i, c := range columns {
			if cells[i] = printable(c.cell(item)); cells[i] == "" {
				cells[i] = "-"
			}
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	return w.Flush()
}

// detail is a line about one thing. One without a title continues the one
// before.
type detail struct{ title, value string }

// listed makes details of several values under one title.
func listed(title string, values []string) []detail {
	var lines []detail
	for _, v := range values {
		lines = append(lines, detail{title, v})
		title = ""
	}
	return lines
}

// printOne prints one thing: as JSON, or line by line without empty values.
func (env *environment) printOne(v any, details []detail) error {
	if env.flags.output == formatJSON {
		return env.printJSON(v)
	}
	w := tabwriter.NewWriter(env.stdout, 0, 0, 2, ' ', 0)
	for _, d := range details {
		if d.title != "" {
			d.title += ":"
		}
		if d.value != "" {
			fmt.Fprintf(w, "%s\t%s\n", d.title, printable(d.value))
		}
	}
	return w.Flush()
}

// printChanged prints what a thing is like after a change: all of it as JSON,
// or only a word about it.
func (env *environment) printChanged(v any, format string, args ...any) error {
	if env.flags.output == formatJSON {
		return env.printJSON(v)
	}
	env.say(format, args...)
	return nil
}

// printName prints what names a thing, and nothing else.
func (env *environment) printName(name string) error {
	_, err := fmt.Fprintln(env.stdout, printable(name))
	return err
}

// printJSON prints one document. Control characters beyond those that JSON
// itself escapes are escaped too, since a terminal may obey them.
func (env *environment) printJSON(v any) error {
	var plain bytes.Buffer
	encoder := json.NewEncoder(&plain)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("encoding the result: %w", err)
	}
	var safe strings.Builder
	for _, r := range plain.String() {
		if r != '\n' && unicode.IsControl(r) {
			fmt.Fprintf(&safe, `\u%04x`, r)
			continue
		}
		safe.WriteRune(r)
	}
	_, err := fmt.Fprint(env.stdout, safe.String())
	return err
}
