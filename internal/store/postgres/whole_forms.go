package postgres

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// form is how values of an SQL type go into the portable form and come out of
// it.
type form struct {
	query  string                 // reads a column, %s
	shown  func(any) (any, error) // what the query gave, nil included
	stored func(any) (any, error) // never nil
}

// forms are those of the types that the tables use. A migration that uses
// another has to add it here; a test of every table says so.
var forms = map[string]form{
	"text":                     {query: "%s", shown: same, stored: expect[string]},
	"bytea":                    {query: "%s", shown: same, stored: expect[[]byte]},
	"bigint":                   {query: "%s", shown: same, stored: expect[int64]},
	"integer":                  {query: "%s::bigint", shown: same, stored: expect[int64]},
	"boolean":                  {query: "%s::int::bigint", shown: same, stored: storedBool},
	"timestamp with time zone": {query: "%s", shown: shownTime, stored: storedTime},
	"text[]":                   {query: "to_json(%s)::text", shown: shownJSON, stored: storedList},
	"jsonb":                    {query: "%s::text", shown: shownJSON, stored: storedJSON},
}

func same(v any) (any, error) { return v, nil }

func expect[T any](v any) (any, error) {
	if _, ok := v.(T); !ok {
		return nil, fmt.Errorf("the value is a %T", v)
	}
	return v, nil
}

func storedBool(v any) (any, error) {
	n, ok := v.(int64)
	if !ok || n != 0 && n != 1 {
		return nil, fmt.Errorf("the value is no truth, but a %T", v)
	}
	return n == 1, nil
}

func shownTime(v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	t, ok := v.(time.Time)
	if !ok {
		return nil, fmt.Errorf("a time is a %T", v)
	}
	return t.UnixMicro(), nil
}

func storedTime(v any) (any, error) {
	n, ok := v.(int64)
	if !ok {
		return nil, fmt.Errorf("the value is no time, but a %T", v)
	}
	return time.UnixMicro(n).UTC(), nil
}

// shownJSON writes a list or map as the other store does: without spaces, keys
// in order, "" when it is empty.
func shownJSON(v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	text, ok := v.(string)
	if !ok {
		return nil, fmt.Errorf("JSON is read as %T", v)
	}
	if text == "[]" || text == "{}" {
		return "", nil
	}
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	var parsed any
	if err := d.Decode(&parsed); err != nil {
		return nil, fmt.Errorf("JSON cannot be read: %w", err)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(parsed); err != nil {
		return nil, err
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

func storedList(v any) (any, error) {
	text, ok := v.(string)
	if !ok {
		return nil, fmt.Errorf("the value is no list, but a %T", v)
	}
	list := []string{}
	if text == "" {
		return list, nil
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("the value is no list of texts")
	}
	return list, nil
}

func storedJSON(v any) (any, error) {
	text, ok := v.(string)
	switch {
	case !ok:
		return nil, fmt.Errorf("the value is no JSON, but a %T", v)
	case text == "":
		return "{}", nil
	case !json.Valid([]byte(text)):
		return nil, fmt.Errorf("the value is no JSON")
	}
	return text, nil
}
