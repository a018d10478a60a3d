package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxProblems is how many problems of one document are told.
const maxProblems = 50

// maxElements is how many elements a list can have.
const maxElements = 1000

// document reads YAML against the schema. It is a koanf.Parser, with a memory
// of what was wrong and of where each key stood. Scalars stay the text that
// they were written as: what they mean depends on the key, not on YAML's rules
// for guessing, by which the password 0123 would be the number 83.
type document struct {
	root     *entry
	at       Origin // of which Line is filled in
	lines    map[string]int
	problems problems
}

// Unmarshal returns the values in nested maps, for koanf. What is wrong with
// the document is collected rather than returned.
func (d *document) Unmarshal(b []byte) (map[string]any, error) {
	top, ok := d.parse(b)
	if !ok || isNull(top) {
		return map[string]any{}, nil
	}
	values, _ := d.value(d.root, "", top).(map[string]any)
	return values, nil
}

// Marshal is what koanf wants of a parser for writing, which this one is not.
func (d *document) Marshal(map[string]any) ([]byte, error) {
	return nil, errors.New("config: a document is only for reading")
}

// list reads a list of sections in YAML or JSON, as an environment variable
// holds one.
func (d *document) list(e *entry, b []byte) []any {
	top, ok := d.parse(b)
	if !ok {
		return nil
	}
	values, _ := d.value(e, e.path, top).([]any)
	return values
}

// parse returns the one node of a document, or false when there is none.
func (d *document) parse(b []byte) (*yaml.Node, bool) {
	decoder := yaml.NewDecoder(bytes.NewReader(b))
	var doc, more yaml.Node
	err := decoder.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return nil, false // empty, or comments only
	}
	if err != nil {
		d.problems.add("", d.at, "this is no YAML: %s", syntax(err))
		return nil, false
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		d.problems.add("", d.at, "there is more than one document; only one can be")
		return nil, false
	}
	if len(doc.Content) != 1 {
		return nil, false
	}
	return doc.Content[0], true
}

// syntax words an error of the YAML package. Few of its texts repeat what
// stands in the document; those are replaced, since it may be part of a secret.
func syntax(err error) string {
	s := strings.TrimPrefix(err.Error(), "yaml: ")
	if strings.Contains(s, "anchor") || strings.Contains(s, "'") && strings.Contains(s, "tag") {
		return "anchors, aliases and tags cannot be used; put quotes around values that begin with &, * or !"
	}
	return s
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

// value reads what stands at a key: maps for sections, slices for lists,
// strings for all else, nil for what is not set or is wrong.
func (d *document) value(e *entry, path string, n *yaml.Node) any {
	d.lines[path] = n.Line
	if n.Kind == yaml.AliasNode || n.Anchor != "" || n.Style&yaml.TaggedStyle != 0 {
		d.wrong(path, n, "anchors, aliases and tags cannot be used; put quotes around values that begin with &, * or !")
		return nil
	}
	if isNull(n) {
		return nil // the key without a value is as good as no key
	}
	switch {
	case e.isSection():
		return d.mapping(e, path, n)
	case e.isList():
		return d.sequence(e, path, n)
	case n.Kind != yaml.ScalarNode:
		d.wrong(path, n, "want %s, not %s", e.wanted(), shape(n))
		return nil
	}
	return n.Value
}

func (d *document) mapping(e *entry, path string, n *yaml.Node) any {
	if n.Kind != yaml.MappingNode {
		d.wrong(path, n, "want keys with values, such as %s: …, not %s", e.children[0].name, shape(n))
		return nil
	}
	values := map[string]any{}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		child := e.child(key.Value)
		switch {
		case len(d.problems) > maxProblems:
			return values // enough was said
		case key.Kind != yaml.ScalarNode || child == nil:
			d.wrong("", key, "%s", unknownKey(e, path, key.Value))
			continue
		case seen[child.name]:
			d.wrong(join(path, child.name), key, "this key is here twice; keep one")
			continue
		case child.envOnly && d.at.Layer == FromFile:
			d.wrong(child.path, key, "this must not stand in a file; set the environment variable %s, or %s_file", child.env(), child.name)
			continue
		}
		seen[child.name] = true
		if v := d.value(child, join(path, child.name), value); v != nil {
			values[child.name] = v
		}
	}
	return values
}

func (d *document) sequence(e *entry, path string, n *yaml.Node) any {
	if n.Kind != yaml.SequenceNode {
		d.wrong(path, n, "want %s, not %s", e.wanted(), shape(n))
		return nil
	}
	if len(n.Content) > maxElements {
		d.wrong(path, n, "the list has more than %d elements", maxElements)
		return nil
	}
	element := entry{kind: text}
	if e.kind == sections {
		element = entry{kind: section, children: e.children}
	}
	values := make([]any, 0, len(n.Content))
	for i, c := range n.Content {
		if len(d.problems) > maxProblems {
			break
		}
		if v := d.value(&element, fmt.Sprintf("%s[%d]", path, i), c); v != nil {
			values = append(values, v)
		} else if isNull(c) {
			d.wrong(fmt.Sprintf("%s[%d]", path, i), c, "this element is empty; remove it")
		}
	}
	return values
}

func (d *document) wrong(path string, n *yaml.Node, format string, args ...any) {
	at := d.at
	switch {
	case len(d.problems) > maxProblems:
		return
	case len(d.problems) == maxProblems:
		d.problems.add("", at, "there is more that is wrong with it")
		return
	}
	at.Line = n.Line
	d.problems.add(path, at, format, args...)
}

// shape says what a node is, without what it holds.
func shape(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys with values"
	case yaml.SequenceNode:
		return "a list"
	}
	return "a single value"
}
