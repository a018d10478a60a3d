package config

import (
	"errors"
	"reflect"
	"strings"

	"github.com/knadh/koanf/v2"
)

// FileVariable is the environment variable that names the configuration file.
const FileVariable = "LATCHKEY_CONFIG"

// Options says where a configuration is read from. The zero value reads
// nothing: all is as [Default] has it.
type Options struct {
	// File is the configuration file. Empty: the one that the flags name, or
	// else the environment variable [FileVariable], or else none.
	File string

	// Getenv looks up environment variables, as os.Getenv does; nil: there are
	// none. An empty variable is as good as none.
	Getenv func(string) string

	Flags *Flags // nil: there are none
}

// Load reads the configuration: a flag goes before the environment, that
// before the file, and that before the default. It returns an [*Error] with
// all that is wrong, in what was read and in what [Config.Validate] finds.
func Load(opts Options) (Config, error) {
	if opts.Getenv == nil {
		opts.Getenv = func(string) string { return "" }
	}
	l := newLoader()
	l.readFile(firstOf(opts.File, opts.Flags.configFile(), opts.Getenv(FileVariable)))
	l.readTexts(envValues(l.schema, opts.Getenv))
	l.readTexts(opts.Flags.values())
	l.readContents()
	return l.finish()
}

// finish makes a configuration of the layers, and says all that is wrong.
func (l *loader) finish() (Config, error) {
	c := Default()
	c.origins = l.origins
	l.decode(&c)
	c.derive()
	l.checkExposure(&c)
	for _, p := range c.problems() {
		if !l.problems.about(p.Key) { // one complaint about a key is enough
			l.problems = append(l.problems, p)
		}
	}
	return c, l.problems.err()
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// loader layers the places that values come from.
type loader struct {
	schema   *entry
	values   *koanf.Koanf // of all layers; texts, and lists of texts or of maps of texts
	origins  map[string]Origin
	problems problems
	file     opened
}

func newLoader() *loader {
	return &loader{schema: schema(), values: koanf.New("."), origins: map[string]Origin{}}
}

// bytesProvider and mapProvider give koanf a layer.
type (
	bytesProvider []byte
	mapProvider   map[string]any
)

func (p bytesProvider) ReadBytes() ([]byte, error)    { return p, nil }
func (p bytesProvider) Read() (map[string]any, error) { return nil, errors.ErrUnsupported }
func (p mapProvider) ReadBytes() ([]byte, error)      { return nil, errors.ErrUnsupported }
func (p mapProvider) Read() (map[string]any, error)   { return p, nil }
func (l *loader) layer(p koanf.Provider, d koanf.Parser) {
	if err := l.values.Load(p, d); err != nil {
		l.problems.add("", Origin{}, "reading the configuration: %v", err)
	}
}

// readFile adds the layer of the configuration file.
func (l *loader) readFile(path string) {
	if path == "" {
		return
	}
	at := Origin{Layer: FromFile, File: path}
	file, err := read(path)
	if err != nil {
		l.problems.add("", at, "%v", err)
		return
	}
	l.file = file
	l.readDocument(at)
}

// readDocument adds the layer of what the configuration file holds.
func (l *loader) readDocument(at Origin) {
	d := &document{root: l.schema, at: at, lines: map[string]int{}}
	l.layer(bytesProvider(l.file.content), d)
	l.problems = append(l.problems, d.problems...)
	for key, line := range d.lines {
		at.Line = line
		l.origins[key] = at
	}
	// A section has no origin, and neither has a key without a value.
	for key := range l.origins {
		if e := l.find(key); e != nil && (e.isSection() || !l.values.Exists(key)) {
			delete(l.origins, key)
		}
	}
}

// find returns the entry of a path that is not in a list, or nil.
func (l *loader) find(path string) *entry {
	e := l.schema
	if path == "" {
		return e
	}
	for name := range strings.SplitSeq(path, ".") {
		if e = e.child(name); e == nil {
			return nil
		}
	}
	return e
}

// given is the text that a variable or a flag has for a key.
type given struct {
	text string
	at   Origin
}

// envValues returns what the environment has, by key.
func envValues(root *entry, getenv func(string) string) map[string]given {
	values := map[string]given{}
	for _, e := range root.leaves() {
		if v := getenv(e.env()); v != "" {
			values[e.path] = given{v, Origin{Layer: FromEnv, Name: e.env()}}
		}
	}
	return values
}

// readTexts adds a layer of keys with texts.
func (l *loader) readTexts(texts map[string]given) {
	layer := mapProvider{}
	for _, e := range l.schema.leaves() {
		g, ok := texts[e.path]
		if !ok {
			continue
		}
		l.forget(e.path)
		l.origins[e.path] = g.at
		switch {
		case e.kind == sections:
			d := &document{at: g.at, lines: map[string]int{}}
			put(layer, e.path, d.list(e, []byte(g.text)))
			l.problems = append(l.problems, d.problems...)
		case e.isList():
			put(layer, e.path, split(g.text))
		default:
			put(layer, e.path, g.text)
		}
	}
	l.layer(layer, nil)
}

// forget removes what a lower layer said about the elements of a list.
func (l *loader) forget(path string) {
	for key := range l.origins {
		if strings.HasPrefix(key, path+"[") {
			delete(l.origins, key)
		}
	}
}

// split reads a list as variables have it: with commas, spaces or both.
func split(s string) []any {
	list := []any{}
	for _, item := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' }) {
		list = append(list, item)
	}
	return list
}

// put sets the value at a path of nested maps.
func put(m map[string]any, path string, value any) {
	head, rest, nested := strings.Cut(path, ".")
	if !nested {
		m[head] = value
		return
	}
	below, ok := m[head].(map[string]any)
	if !ok {
		below = map[string]any{}
		m[head] = below
	}
	put(below, rest, value)
}

// decode sets the fields that a layer has a value for.
func (l *loader) decode(c *Config) {
	for _, e := range l.schema.leaves() {
		if !l.values.Exists(e.path) {
			continue
		}
		field, value := e.in(reflect.ValueOf(c).Elem()), l.values.Get(e.path)
		if e.kind == sections {
			items, _ := value.([]any)
			field.Set(l.decodeElements(e, field.Type(), items))
			continue
		}
		if err := e.decode(field, value); err != nil {
			l.problems.add(e.path, l.origins[e.path], "%v", err)
		}
	}
}

// decodeElements reads the elements of a list of sections.
func (l *loader) decodeElements(e *entry, list reflect.Type, items []any) reflect.Value {
	elements := reflect.MakeSlice(list, 0, len(items))
	for i, item := range items {
		values, _ := item.(map[string]any)
		element := e.newElement()
		for _, child := range e.children {
			value, ok := values[child.name]
			if !ok {
				continue
			}
			if err := child.decode(child.in(element), value); err != nil {
				key := elementKey(e.path, i, child.name)
				l.problems.add(key, originIn(l.origins, key), "%v", err)
			}
		}
		elements = reflect.Append(elements, element)
	}
	return elements
}

// originIn returns where a key of an element of a list came from, which is
// where the list did unless it has a line of its own.
func originIn(origins map[string]Origin, key string) Origin {
	if o, ok := origins[key]; ok {
		return o
	}
	list, _, _ := strings.Cut(key, "[")
	return origins[list]
}

// derive sets the defaults that depend on other keys.
func (c *Config) derive() {
	c.deriveRegistry()
	if c.Pulp.API == "" {
		return
	}
	if _, set := c.origins["passwords.sources"]; !set {
		c.Passwords.Sources = []string{SourceLocal, SourcePulp}
		c.origins["passwords.sources"] = Origin{Name: "pulp.api"}
	}
	if c.Sources.Pulp.URL == "" {
		c.Sources.Pulp.URL = c.Pulp.API
		c.origins["sources.pulp.url"] = Origin{Name: "pulp.api"}
	}
	if _, set := c.origins["sources.pulp.api_root"]; !set {
		c.Sources.Pulp.APIRoot = c.Pulp.APIRoot
		c.origins["sources.pulp.api_root"] = Origin{Name: "pulp.api_root"}
	}
}
