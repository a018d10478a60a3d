package jose

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deep the JSON of a token may be nested.
const maxDepth = 16

var errJSON = errors.New("it is not a JSON object in one reading")

// object reads a JSON object so that there is one reading of it (S54): valid
// UTF-8, no member twice at any depth, no half of a surrogate pair, nothing
// behind it. Numbers stay as they are written, as [json.Number].
//
// It is written out because encoding/json takes longer for a token than the
// verification of a signature may cost on top of itself. That both agree is
// fuzzed.
func object(text []byte) (map[string]any, error) {
	if !utf8.Valid(text) {
		return nil, fmt.Errorf("%w: it is not UTF-8", errJSON)
	}
	p := parser{text: string(text)} // the one copy: texts and numbers are parts of it
	p.space()
	if p.peek() != '{' {
		return nil, fmt.Errorf("%w: it is something else", errJSON)
	}
	o, err := p.members(0)
	if err != nil {
		return nil, err
	}
	if p.space(); p.at != len(p.text) {
		return nil, fmt.Errorf("%w: there is something behind it", errJSON)
	}
	return o, nil
}

// parser reads JSON (RFC 8259) from a text that is valid UTF-8.
type parser struct {
	text string
	at   int
}

var errSyntax = fmt.Errorf("%w: its syntax is wrong", errJSON)

// peek returns the next byte, 0 at the end: no JSON has that outside of a text.
func (p *parser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *parser) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

// take reads one byte, if it is the next one.
func (p *parser) take(c byte) bool {
	if p.peek() != c {
		return false
	}
	p.at++
	return true
}

// value reads a value that begins here. It is inside of so many others.
func (p *parser) value(depth int) (any, error) {
	switch c := p.peek(); {
	case c == '{':
		return p.members(depth)
	case c == '[':
		return p.array(depth)
	case c == '"':
		return p.string()
	case c == '-' || '0' <= c && c <= '9':
		return p.number()
	}
	for _, word := range []struct {
		text  string
		value any
	}{{"true", true}, {"false", false}, {"null", nil}} {
		if strings.HasPrefix(p.text[p.at:], word.text) {
			p.at += len(word.text)
			return word.value, nil
		}
	}
	return nil, errSyntax
}

var errDepth = fmt.Errorf("%w: it is nested too deeply", errJSON)

func (p *parser) members(depth int) (map[string]any, error) {
	if depth == maxDepth {
		return nil, errDepth
	}
	p.at++
	o := make(map[string]any)
	if p.space(); p.take('}') {
		return o, nil
	}
	for {
		name, err := p.name()
		if err != nil {
			return nil, err
		}
		if _, twice := o[name]; twice {
			return nil, fmt.Errorf("%w: a member is there twice", errJSON)
		}
		if o[name], err = p.value(depth + 1); err != nil {
			return nil, err
		}
		if p.space(); p.take('}') {
			return o, nil
		}
		if !p.take(',') {
			return nil, errSyntax
		}
		p.space()
	}
}

// name reads the name of a member and what is before its value.
func (p *parser) name() (string, error) {
	if p.peek() != '"' {
		return "", errSyntax
	}
	name, err := p.string()
	if err != nil {
		return "", err
	}
	if p.space(); !p.take(':') {
		return "", errSyntax
	}
	p.space()
	return name, nil
}

func (p *parser) array(depth int) ([]any, error) {
	if depth == maxDepth {
		return nil, errDepth
	}
	p.at++
	list := []any{}
	if p.space(); p.take(']') {
		return list, nil
	}
	for {
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		if p.space(); p.take(']') {
			return list, nil
		}
		if !p.take(',') {
			return nil, errSyntax
		}
		p.space()
	}
}

// number reads a number as it is written (RFC 8259 section 6).
func (p *parser) number() (json.Number, error) {
	from := p.at
	p.take('-')
	if !p.take('0') && !p.digits() {
		return "", errSyntax
	}
	if p.take('.') && !p.digits() {
		return "", errSyntax
	}
	if p.take('e') || p.take('E') {
		if !p.take('+') {
			p.take('-')
		}
		if !p.digits() {
			return "", errSyntax
		}
	}
	return json.Number(p.text[from:p.at]), nil
}

// digits reads one digit or more.
func (p *parser) digits() bool {
	from := p.at
	for c := p.peek(); '0' <= c && c <= '9'; c = p.peek() {
		p.at++
	}
	return p.at > from
}

// string reads a text, which has no escapes most of the time.
func (p *parser) string() (string, error) {
	p.at++
	from := p.at
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == '"':
			s := p.text[from:p.at]
			p.at++
			return s, readable(s)
		case c == '\\':
			return p.escaped(from)
		case c < ' ':
			return "", errSyntax
		default:
			p.at++
		}
	}
	return "", errSyntax
}

// escaped reads on in a text that began at from and has an escape here.
func (p *parser) escaped(from int) (string, error) {
	out := []byte(p.text[from:p.at])
	for p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		switch {
		case c == '"':
			return string(out), readable(string(out))
		case c < ' ':
			return "", errSyntax
		case c != '\\':
			out = append(out, c)
		default:
			r, err := p.escape()
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, r)
		}
	}
	return "", errSyntax
}

// escape reads what is behind a backslash. Half of a surrogate pair becomes the
// character that readable refuses.
func (p *parser) escape() (rune, error) {
	c := p.peek()
	p.at++
	if i := strings.IndexByte(`"\/bfnrt`, c); i >= 0 && c != 0 {
		return rune("\"\\/\b\f\n\r\t"[i]), nil
	}
	if c != 'u' {
		return 0, errSyntax
	}
	r, err := p.hex()
	if err != nil || !utf16.IsSurrogate(r) {
		return r, err
	}
	if !strings.HasPrefix(p.text[p.at:], `\u`) {
		return utf8.RuneError, nil
	}
	p.at += len(`\u`)
	second, err := p.hex()
	return utf16.DecodeRune(r, second), err
}

// hex reads four hexadecimal digits.
func (p *parser) hex() (rune, error) {
	if len(p.text)-p.at < 4 {
		return 0, errSyntax
	}
	var r rune
	for _, c := range []byte(p.text[p.at : p.at+4]) {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, errSyntax
		}
	}
	p.at += 4
	return r, nil
}

// readable refuses the character that decoders put where an escape stands for
// none: parsers do not agree on those.
func readable(s string) error {
	if strings.ContainsRune(s, utf8.RuneError) {
		return fmt.Errorf("%w: a text has characters that there are not", errJSON)
	}
	return nil
}
