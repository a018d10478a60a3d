package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/secret"
)

// The formats of [Config.Show].
const (
	YAML = "yaml"
	JSON = "json"
)

// ShowOptions says how a configuration is printed.
type ShowOptions struct {
	Format string // YAML or JSON; empty is YAML
	Origin bool   // say where each value came from
}

// Show prints the configuration with its secrets hidden. The YAML explains
// each key in a comment and can be loaded again, except for the secrets. The
// JSON has the values only, or, with Origin, an object with value, origin and
// doc in the place of each.
func (c Config) Show(w io.Writer, o ShowOptions) error {
	s := shower{c: c, origin: o.Origin}
	var out bytes.Buffer
	switch o.Format {
	case YAML, "":
		s.yaml(&out, place{entry: schema(), value: reflect.ValueOf(c)}, "")
	case JSON:
		text, err := json.MarshalIndent(s.json(place{entry: schema(), value: reflect.ValueOf(c)}), "", "  ")
		if err != nil {
			return fmt.Errorf("encode the configuration: %w", err)
		}
		out.Write(append(text, '\n'))
	default:
		return fmt.Errorf("there is no format %q; there are %s and %s", o.Format, YAML, JSON)
	}
	_, err := w.Write(out.Bytes())
	return err
}

type shower struct {
	c      Config
	origin bool
}

// place is a key in a configuration.
type place struct {
	*entry
	value reflect.Value // the struct or the field
	key   string        // the path, with the indices of lists
}

// below returns the places of the keys of a section.
func (p place) below() []place {
	var all []place
	for _, c := range p.children {
		all = append(all, place{c, p.value.Field(c.index[len(c.index)-1]), join(p.key, c.name)})
	}
	return all
}

// elements returns the places of the elements of a list of sections.
func (p place) elements() []place {
	var all []place
	for i := range p.value.Len() {
		element := &entry{kind: section, children: p.children}
		all = append(all, place{element, p.value.Index(i), fmt.Sprintf("%s[%d]", p.key, i)})
	}
	return all
}

// visible returns the value as a text, a number, a truth or a list of texts,
// without secrets.
func (p place) visible() any {
	switch v := p.value.Interface().(type) {
	case secret.Text:
		if p.hides(p.value) {
			return hidden
		}
		return v.Reveal()
	case time.Duration:
		return FormatDuration(v)
	case []netip.Prefix:
		list := make([]string, len(v))
		for i, prefix := range v {
			list[i] = prefix.String()
			if prefix.IsSingleIP() {
				list[i] = prefix.Addr().String()
			}
		}
		return list
	case []string:
		return append([]string{}, v...) // nil is no list in JSON
	default:
		return v
	}
}

// json returns what json.Marshal makes the printed form of.
func (s shower) json(p place) any {
	switch p.kind {
	case section:
		var o object
		for _, child := range p.below() {
			o = append(o, member{child.name, s.json(child)})
		}
		return o
	case sections:
		list := []any{}
		for _, element := range p.elements() {
			list = append(list, s.json(element))
		}
		return list
	}
	if !s.origin {
		return p.visible()
	}
	return object{
		{"value", p.visible()},
		{"origin", originIn(s.c.origins, p.key).String()},
		{"doc", p.meaning()},
	}
}

// object is a JSON object whose members keep their order.
type object []member

type member struct {
	name  string
	value any
}

// MarshalJSON writes the members.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	for i, m := range o {
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		b.WriteByte("{,"[min(i, 1)])
		fmt.Fprintf(&b, "%q:%s", m.name, value)
	}
	if len(o) == 0 {
		b.WriteByte('{')
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// yaml prints the keys of a section.
func (s shower) yaml(out *bytes.Buffer, p place, indent string) {
	explain := !strings.Contains(p.key, "]") || strings.Contains(p.key, "[0]")
	for i, child := range p.below() {
		if explain {
			if indent == "" && i > 0 {
				out.WriteByte('\n')
			}
			comment(out, indent, child.meaning())
		}
		s.yamlKey(out, child, indent)
	}
}

func (s shower) yamlKey(out *bytes.Buffer, p place, indent string) {
	off := ""
	if p.envOnly {
		comment(out, indent, "It cannot be set here, only as "+p.env()+".")
		off = "# "
	}
	out.WriteString(indent + off + p.name + ":")
	switch {
	case p.isSection():
		out.WriteByte('\n')
		s.yaml(out, p, indent+"  ")
		return
	case p.kind == sections && p.value.Len() > 0:
		out.WriteByte('\n')
		for _, element := range p.elements() {
			var below bytes.Buffer
			s.yaml(&below, element, indent+"    ")
			out.WriteString(indent + "  -\n" + below.String())
		}
		return
	case p.kind == sections:
		out.WriteString(" []")
	case p.kind == duration:
		fmt.Fprintf(out, " %s", p.visible())
	default:
		out.WriteString(" " + yamlValue(p.visible()))
	}
	if s.origin {
		out.WriteString("  # " + originIn(s.c.origins, p.key).String())
	}
	out.WriteByte('\n')
}

// meaning is what a key is, with what its values can be.
func (e *entry) meaning() string {
	doc := e.doc
	if len(e.choices) > 0 {
		doc += " Values: " + strings.Join(e.choices, ", ") + "."
	}
	if e.zero != "" {
		doc += " 0: " + e.zero + "."
	}
	return doc
}

// comment writes text as comment lines.
func comment(out *bytes.Buffer, indent, text string) {
	const width = 100
	line := indent + "#"
	for _, word := range strings.Fields(text) {
		if len(line)+1+len(word) > width && line != indent+"#" {
			out.WriteString(line + "\n")
			line = indent + "#"
		}
		line += " " + word
	}
	out.WriteString(line + "\n")
}

func yamlValue(v any) string {
	switch v := v.(type) {
	case string:
		return yamlText(v)
	case []string:
		items := make([]string, len(v))
		for i, s := range v {
			items[i] = yamlText(s)
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	return fmt.Sprint(v)
}

// yamlText quotes a text unless every reader of YAML takes it for one.
func yamlText(s string) string {
	plainText := regexp.MustCompile(`^[A-Za-z0-9/.][A-Za-z0-9_./@+-]*(:[A-Za-z0-9_./@+-]+)*$`)
	guessed := regexp.MustCompile(`(?i)^(null|true|false|yes|no|on|off|y|n|[0-9.][0-9_.]*(e[-+]?[0-9]+)?|[0-9]+(:[0-9.]+)+|0[xob].*|[0-9]{4}-[0-9]+-[0-9]+.*|\.inf|\.nan)$`)
	if plainText.MatchString(s) && !guessed.MatchString(s) {
		return s
	}
	quoted, _ := json.Marshal(s) // a JSON string is one in YAML, too
	return string(quoted)
}
