package restapi

import (
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/store"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
)

// query is a parsed query string with known names, each given once.
type query map[string]string

func parseQuery(raw string, known []string) (query, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, fault.Invalidf("", "the query cannot be read")
	}
	q := query{}
	for name, list := range values {
		if !slices.Contains(known, name) {
			return nil, fault.Invalidf(name, "is not a parameter of this request")
		}
		if len(list) != 1 {
			return nil, fault.Invalidf(name, "is given twice")
		}
		q[name] = list[0]
	}
	return q, nil
}

func (q query) limit() (int, error) {
	text, given := q["limit"]
	if !given {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLimit {
		return 0, fault.Invalidf("limit", "must be a whole number from 1 to %d", maxLimit)
	}
	return n, nil
}

func (q query) time(name string) (time.Time, error) {
	text, given := q[name]
	if !given {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fault.Invalidf(name, "must be a time of the form 2006-01-02T15:04:05Z (RFC 3339)")
	}
	return at, nil
}

func (q query) bool(name string) (*bool, error) {
	text, given := q[name]
	if !given {
		return nil, nil
	}
	v, err := strconv.ParseBool(text)
	if err != nil {
		return nil, fault.Invalidf(name, "must be true or false")
	}
	return &v, nil
}

// oneOf returns a parameter that has one of a few values, or "".
func (q query) oneOf(name string, values ...string) (string, error) {
	text, given := q[name]
	if given && !slices.Contains(values, text) {
		return "", fault.Invalidf(name, "must be one of %q", values)
	}
	return text, nil
}

// place is the inside of a cursor: the last row of the page before.
type place struct {
	At   time.Time `json:"a,omitzero"`
	ID   string    `json:"i,omitempty"`
	Name string    `json:"n,omitempty"`
}

// purpose binds a cursor to the list and the filters that it came from (S75).
func (c *call) purpose() string {
	filters := url.Values{}
	for name, value := range c.query {
		if !slices.Contains(pageQuery, name) {
			filters.Set(name, value)
		}
	}
	return "cursor " + c.caller.AccountID + " " + c.r.URL.Path + "?" + filters.Encode()
}

// after opens the cursor of a request, if it has one.
func (c *call) after() (place, error) {
	text, given := c.query["cursor"]
	if !given {
		return place{}, nil
	}
	var p place
	plain, err := c.Keys.OpenText(c.purpose(), text)
	if err == nil {
		err = json.Unmarshal(plain, &p)
	}
	if err != nil {
		return place{}, fault.Invalidf("cursor", "does not belong to this list: begin again without one")
	}
	return p, nil
}

// next seals the cursor for what follows p; there is nothing if the page was
// not full.
func (c *call) next(full bool, p place) string {
	if !full {
		return ""
	}
	plain, _ := json.Marshal(p) // times and strings can always be encoded
	return c.Keys.SealText(c.purpose(), plain)
}

func (p place) position() store.Position { return store.Position{At: p.At, ID: p.ID} }
