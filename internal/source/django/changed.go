package django

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/source"
)

// batch is how many users are asked for at once.
const batch = 1000

// Changed compares users, by the IDs of their Subjects, with the Fingerprints
// that were taken before, and returns those for whom anything is different,
// in the order of the IDs. It reads a thousand rows at a time. When any of it
// fails the result is nil and the error ErrUnavailable: no user is ever gone
// because a database could not be read.
func (s *Source) Changed(ctx context.Context, subjects map[string]source.Fingerprint) ([]source.Change, error) {
	if len(subjects) == 0 {
		return nil, nil
	}
	var sql string
	var possible func(string) bool
	err := s.read(ctx, func(ctx context.Context) (err error) {
		sql, possible, err = s.queries.condition(ctx, s.pool)
		return err
	})
	if err != nil {
		return nil, err
	}
	ids := slices.Sorted(maps.Keys(subjects))
	rows := make(map[string]user, len(ids))
	for ask := range slices.Chunk(slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !possible(id) }), batch) {
		err := s.read(ctx, func(ctx context.Context) error {
			found, err := s.queries.users(ctx, s.pool, sql, ask)
			for _, u := range found {
				rows[u.id] = u
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	var changes []source.Change
	for _, id := range ids {
		u, found := rows[id]
		if !found {
			changes = append(changes, source.Change{ID: id, Gone: true})
		} else if now := s.subject(u); now.Fingerprint != subjects[id] {
			changes = append(changes, compare(subjects[id], now, u.active))
		}
	}
	return changes, nil
}

// compare is called with two fingerprints that differ.
func compare(before source.Fingerprint, now source.Subject, active bool) source.Change {
	c := source.Change{ID: now.ID, Now: now, Active: active}
	a, known := parseState(before)
	b, _ := parseState(now.Fingerprint)
	if !known {
		c.Unknown = true
		return c
	}
	c.Disabled = a.active == yes && b.active != yes
	c.Enabled = a.active != yes && b.active == yes
	c.Superuser = a.superuser != b.superuser
	c.Renamed = a.username != b.username
	c.Password = a.password != b.password
	c.Rehashed = c.Password && a.kind != b.kind
	return c
}

// state is what a Fingerprint holds. The name and the password are digests;
// a stored hash has its own salt, so that the digest of it tells nothing.
type state struct {
	active, superuser, kind, username, password string
}

const (
	version = "1"
	yes     = "y"
	no      = "n"
)

func (s *Source) fingerprint(u user) source.Fingerprint {
	kind, err := s.passwords.Kind(u.password)
	if err != nil {
		kind = "none"
	}
	flag := map[bool]string{true: yes, false: no}
	return source.Fingerprint(strings.Join([]string{
		version, flag[u.active], flag[u.superuser], kind,
		digest("username", u.username), digest("password", u.password),
	}, "|"))
}

func parseState(f source.Fingerprint) (state, bool) {
	part := strings.Split(string(f), "|")
	if len(part) != 6 || part[0] != version {
		return state{}, false
	}
	return state{part[1], part[2], part[3], part[4], part[5]}, true
}

func digest(what, text string) string {
	sum := sha256.Sum256([]byte("latchkey django " + what + "\x00" + text))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// isInt recognises a decimal number of so many bits, as PostgreSQL writes it.
func isInt(bits int) func(id string) bool {
	return func(id string) bool {
		n, err := strconv.ParseInt(id, 10, bits)
		return err == nil && strconv.FormatInt(n, 10) == id
	}
}
