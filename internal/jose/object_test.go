package jose

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzObject compares the reading of JSON with another that goes by
// encoding/json, in both directions: what one takes, the other takes, and as the
// same (S54, S61).
func FuzzObject(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` { } `, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"a":{"b":[1,2,{"c":null}]}}`, `[1]`, `{"a":"\ud83d\ude00"}`, `{"a":"\ud83d"}`, `{"a":"\ud83dx"}`,
		`{"a":"\ud83d\u0041"}`, `{"a":"\ude00\ud83d"}`, `{"a":"\uD83D\uDE00"}`, `{"a":"\u00e9\u00E9"}`, `{"a":"\u12"}`, `{"a":"\u12`, `{"a":1}x`, `{"a":1}{}`,
		"{\"\xff\":1}", "{\"a\":\"\x00\"}", "{\"a\":\"\ufffd\"}", "\ufeff{}", `{"a":"\b\f\n\r\t\/\\\""}`, `{"a":"\x"}`, `{"a":"\`, `{"a":"`, `{"a`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`,
		`{"a":1,}`, `{,}`, `{"a":[1,]}`, `{"a":[,1]}`, `{"a":[}`, `{"a":]}`, `{a:1}`, `{'a':1}`, `{"a":01}`, `{"a":-}`, `{"a":-0}`, `{"a":1.}`, `{"a":.5}`, `{"a":1e}`, `{"a":1e+}`, `{"a":-1.5E-10}`,
		`{"a":+1}`, `{"a":1e400}`, `{"a":0x1}`, `{"a":true,"b":false,"c":null}`, `{"a":tru}`, `{"a":True}`, `{"a":nulll}`, "{\t\"a\"\n:\r1 }", "{\v}", `{"":""}`, `null`, ``, ` `, `1`, `"a"`,
		`{"a":` + strings.Repeat(`[`, 15) + strings.Repeat(`]`, 15) + `}`, `{"a":` + strings.Repeat(`[`, 16) + strings.Repeat(`]`, 16) + `}`,
		strings.Repeat(`{"a":`, 16) + `1` + strings.Repeat(`}`, 16), strings.Repeat(`{"a":`, 17) + `1` + strings.Repeat(`}`, 17),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := object(text)
		want, wantErr := objectByJSON(text)
		if (err == nil) != (wantErr == nil) || !reflect.DeepEqual(got, want) {
			t.Errorf("object(%q) = %v, %v, want %v, %v", text, got, err, want, wantErr)
		}
	})
}

// objectByJSON is what object has to do, by encoding/json.
func objectByJSON(text []byte) (map[string]any, error) {
	if !utf8.Valid(text) {
		return nil, fmt.Errorf("%w: it is not UTF-8", errJSON)
	}
	if !json.Valid(text) {
		return nil, fmt.Errorf("%w: its syntax is wrong", errJSON)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := valueByJSON(d, 0)
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

func valueByJSON(d *json.Decoder, depth int) (any, error) {
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
		return arrayByJSON(d, depth)
	}
	return membersByJSON(d, depth)
}

func arrayByJSON(d *json.Decoder, depth int) (any, error) {
	list := []any{}
	for d.More() {
		v, err := valueByJSON(d, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, endByJSON(d)
}

func membersByJSON(d *json.Decoder, depth int) (any, error) {
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
		if o[name], err = valueByJSON(d, depth+1); err != nil {
			return nil, err
		}
	}
	return o, endByJSON(d)
}

func endByJSON(d *json.Decoder) error {
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("%w: its syntax is wrong", errJSON)
	}
	return nil
}
