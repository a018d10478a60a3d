package jose

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// maxDepth is how deep the JSON of a token may be nested.
const maxDepth = 16

var errJSON = errors.New("it is not a JSON object in one reading")

// object reads a JSON object so that there is one reading of it (S54): valid
// UTF-8, no member twice at any depth, no half of a surrogate pair, nothing
// behind it. Numbers stay as they are written, as [json.Number].
func object(text []byte) (map[string]any, error) {
	if !utf8.Valid(text) {
		return nil, fmt.Errorf("%w: it is not UTF-8", errJSON)
	}
	if !json.Valid(text) {
		return nil, fmt.Errorf("%w: its syntax is wrong", errJSON)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := value(d, 0)
	if err != nil {
		return nil, err
	}
	o, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%w: it is something else", errJSON)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: there is something behind it", errJSON)
	}
	return o, nil
}

func value(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, fmt.Errorf("%w: its syntax is wrong", errJSON)
	}
	if s, ok := t.(string); ok {
		return s, readable(s)
	}
	open, ok := t.(json.Delim)
	if !ok {
		return t, nil
	}
	if depth == maxDepth {
		return nil, fmt.Errorf("%w: it is nested too deeply", errJSON)
	}
	if open == '[' {
		return array(d, depth)
	}
	return members(d, depth)
}

func array(d *json.Decoder, depth int) (any, error) {
	list := []any{}
	for d.More() {
		v, err := value(d, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, end(d)
}

func members(d *json.Decoder, depth int) (any, error) {
	o := map[string]any{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, fmt.Errorf("%w: its syntax is wrong", errJSON)
		}
		if err := readable(name); err != nil {
			return nil, err
		}
		if _, twice := o[name]; twice {
			return nil, fmt.Errorf("%w: a member is there twice", errJSON)
		}
		if o[name], err = value(d, depth+1); err != nil {
			return nil, err
		}
	}
	return o, end(d)
}

// readable refuses the character that the decoder puts where an escape stands
// for none: parsers do not agree on those.
func readable(s string) error {
	if strings.ContainsRune(s, utf8.RuneError) {
		return fmt.Errorf("%w: a text has characters that there are not", errJSON)
	}
	return nil
}

func end(d *json.Decoder) error {
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("%w: its syntax is wrong", errJSON)
	}
	return nil
}
