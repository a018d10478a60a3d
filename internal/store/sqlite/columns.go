package sqlite

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// maybe is a time that may be unset, as a column that may be NULL: the zero
// time is not 1970, which is a moment like any other.
func maybe(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// unpack reads columns that were packed into one text, each ended by a zero
// byte, which no stored text contains. It is not pretty, but for every column
// of a result the driver takes several allocations and a third of a
// microsecond, and a token has many.
func unpack(v any, dest ...any) error {
	p, err := packedIn(v)
	if err != nil {
		return err
	}
	if err := p.take(dest...); err != nil {
		return err
	}
	return p.end()
}

// packed is what is left of packed columns.
type packed struct {
	text string
	more bool
}

func packedIn(v any) (packed, error) {
	s, ok := v.(string)
	if !ok {
		return packed{}, fmt.Errorf("columns are packed in %T", v)
	}
	return packed{s, true}, nil
}

// take reads the next columns.
func (p *packed) take(dest ...any) error {
	for i, d := range dest {
		if !p.more {
			return fmt.Errorf("column %d of %d is missing", i, len(dest))
		}
		var column string
		column, p.text, p.more = strings.Cut(p.text, "\x00")
		if err := parse(column, d); err != nil {
			return fmt.Errorf("column %d: %w", i, err)
		}
	}
	return nil
}

// end reports columns that nobody has taken.
func (p *packed) end() error {
	if p.more {
		return errors.New("there are more columns than were asked for")
	}
	return nil
}

func parse(s string, dest any) (err error) {
	switch d := dest.(type) {
	case *string:
		*d = s
	case *int64:
		*d, err = strconv.ParseInt(s, 10, 64)
	case *int:
		*d, err = strconv.Atoi(s)
	case *bool:
		*d = s != "0"
	case interface{ parse(string) error }:
		err = d.parse(s)
	default:
		err = fmt.Errorf("text does not go into %T", dest)
	}
	return err
}

// micros reads a time from a column of microseconds, the zero time from NULL.
type micros struct{ t *time.Time }

// Scan implements [sql.Scanner].
func (m micros) Scan(v any) error {
	if v == nil {
		return nil
	}
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("a time is stored as %T", v)
	}
	*m.t = time.UnixMicro(n).UTC()
	return nil
}

// parse reads a time out of a packed column, the zero time from "".
func (m micros) parse(s string) error {
	if s == "" {
		return nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	*m.t = time.UnixMicro(n).UTC()
	return err
}

// period reads a duration from a packed column of microseconds.
type period struct{ d *time.Duration }

func (p period) parse(s string) error {
	n, err := strconv.ParseInt(s, 10, 64)
	*p.d = time.Duration(n) * time.Microsecond
	return err
}

// text writes a list or a map as JSON, or as "" when it is empty.
func text(v any, n int) (string, error) {
	if n == 0 {
		return "", nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // plainer for who looks into the database
	if err := e.Encode(v); err != nil {
		return "", err
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// fromText reads what text wrote into a list or map, nil when it is empty.
type fromText struct{ v any }

// Scan implements [sql.Scanner].
func (f fromText) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("a list or map is stored as %T", v)
	}
	return f.parse(s)
}

func (f fromText) parse(s string) error {
	if s == "" || s == "[]" {
		return nil
	}
	return json.Unmarshal([]byte(s), f.v)
}

// blob reads bytes from a packed column of hexadecimal digits, nil when there
// are none.
type blob struct{ b *[]byte }

func (b blob) parse(s string) (err error) {
	if s != "" {
		*b.b, err = hex.DecodeString(s)
	}
	return err
}

// address reads an address from a packed column that is "" when there is none.
type address struct{ a *netip.Addr }

func (a address) parse(s string) error {
	if s == "" {
		return nil
	}
	return a.a.UnmarshalText([]byte(s))
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
