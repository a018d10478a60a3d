package jose

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Claims are the members of a token's payload, as encoding/json decodes them
// with numbers as [json.Number].
type Claims map[string]any

// Text returns a claim that is a text, "" if it is not there or something else.
func (c Claims) Text(name string) string {
	s, _ := c[name].(string)
	return s
}

// Texts returns a claim that is a text or a list of texts, as "aud" is; nil if
// it is not there or something else.
func (c Claims) Texts(name string) []string {
	switch v := c[name].(type) {
	case string:
		return []string{v}
	case []any:
		list := make([]string, len(v))
		for i, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil
			}
			list[i] = s
		}
		return list
	}
	return nil
}

// matches checks that a claim is, or lists, the wanted text; that it is not
// there if none is wanted. Only "aud" may be a list.
func (c Claims) matches(name, want string) error {
	v, there := c[name]
	if want == "" {
		if there {
			return fmt.Errorf("%w: %s is for somebody else", ErrClaims, name)
		}
		return nil
	}
	list := c.Texts(name)
	if _, single := v.(string); !single && name != "aud" {
		list = nil
	}
	if !slices.Contains(list, want) {
		return fmt.Errorf("%w: %s is not the expected one", ErrClaims, name)
	}
	return nil
}

// maxDate is the last whole number that all JSON parsers agree on.
const maxDate = 1 << 53

// Date reads a time in whole seconds since 1970, the zero time if it is not
// there. Fractions, exponents, signs and what is beyond 2^53 are refused (S53).
func (c Claims) Date(name string) (time.Time, error) {
	v, there := c[name]
	if !there {
		return time.Time{}, nil
	}
	number, _ := v.(json.Number)
	n, err := strconv.ParseUint(string(number), 10, 64)
	if err != nil || n > maxDate {
		return time.Time{}, fmt.Errorf("%w: %s is no time in whole seconds", ErrClaims, name)
	}
	return time.Unix(int64(n), 0).UTC(), nil
}
