package postgres

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// maybe is a time that may be unset, as a column that may be NULL.
func maybe(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}

// orNull is maybe for a column of many rows.
func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// instant reads a time, the zero time from NULL.
type instant struct{ t *time.Time }

// ScanTimestamptz implements [pgtype.TimestamptzScanner].
func (i instant) ScanTimestamptz(v pgtype.Timestamptz) error {
	if v.InfinityModifier != pgtype.Finite {
		return fmt.Errorf("a time is %v", v.InfinityModifier)
	}
	*i.t = v.Time.UTC()
	return nil
}

// period reads a duration from a column of microseconds.
type period struct{ d *time.Duration }

// ScanInt64 implements [pgtype.Int64Scanner].
func (p period) ScanInt64(v pgtype.Int8) error {
	*p.d = time.Duration(v.Int64) * time.Microsecond
	return nil
}

// words reads a text that may be NULL.
type words struct{ s *string }

// ScanText implements [pgtype.TextScanner].
func (w words) ScanText(v pgtype.Text) error {
	*w.s = v.String
	return nil
}

// address reads an address from a text that is "" or NULL when there is none.
type address struct{ a *netip.Addr }

// ScanText implements [pgtype.TextScanner].
func (a address) ScanText(v pgtype.Text) error {
	if v.String == "" {
		return nil
	}
	return a.a.UnmarshalText([]byte(v.String))
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// object writes a map as JSON.
func object(m map[string]string) (string, error) {
	if len(m) == 0 {
		return "{}", nil
	}
	b, err := json.Marshal(m)
	return string(b), err
}

// fromObject reads a map from JSON, nil when it is empty.
func fromObject(b []byte) (map[string]string, error) {
	if string(b) == "{}" {
		return nil, nil
	}
	var m map[string]string
	err := json.Unmarshal(b, &m)
	return m, err
}

// array makes a list into one that is not NULL.
func array(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// arrayEscapes are for elements of an array's text, see
// https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO.
var arrayEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// arrayText writes a list as the text of an array: rows of arrays, which may
// differ in length, cannot be sent as an array.
func arrayText(list []string) string {
	if len(list) == 0 {
		return "{}"
	}
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = `"` + arrayEscapes.Replace(s) + `"`
	}
	return "{" + strings.Join(quoted, ",") + "}"
}

// orNil makes an empty list nil.
func orNil(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	return list
}
