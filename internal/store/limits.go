package store

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ErrInvalid says that a record or a query cannot be taken as it is: text
// that is not UTF-8 or has a zero byte, a key that is too long, a list without
// a limit. No database was asked.
var ErrInvalid = errors.New("cannot be stored")

// MaxKey is how many bytes a text may have that records are found by: ids,
// names, sources, subjects, slots and the rules of grants. It keeps index
// entries within what PostgreSQL's B-trees hold (a third of a page).
const MaxKey = 1024

// maxDetail is how many bytes of one free text of an event are kept.
const maxDetail = 4096

// Storable reports whether every database can hold these texts as keys. A
// look-up by a text that cannot be stored finds nothing.
func Storable(keys ...string) bool {
	for _, k := range keys {
		if len(k) > MaxKey || !clean(k) {
			return false
		}
	}
	return true
}

// Check says with [ErrInvalid] what keeps t from being stored.
func (t Token) Check() error {
	if !Storable(t.ID, t.AccountID, t.Class, t.Prefix, t.Slot, t.ParentID, t.RevokedBy) || t.ID == "" {
		return fmt.Errorf("token %q: %w: a key is empty, too long or not text", t.ID, ErrInvalid)
	}
	if !clean(t.Name) || !clean(t.RevokeReason) || !cleanAll(t.Scope) || !cleanMap(t.Labels) {
		return fmt.Errorf("token %q: %w: not UTF-8 text", t.ID, ErrInvalid)
	}
	for _, p := range t.CIDRs {
		if !p.IsValid() {
			return fmt.Errorf("token %q: %w: an address range is not valid", t.ID, ErrInvalid)
		}
	}
	return nil
}

// Check says with [ErrInvalid] what keeps s from being stored.
func (s Secret) Check() error {
	if len(s.Digest) == 0 || len(s.Digest) > 64 {
		return fmt.Errorf("secret of token %q: %w: a digest of %d bytes", s.TokenID, ErrInvalid, len(s.Digest))
	}
	if !Storable(s.TokenID, s.KeyID) || s.TokenID == "" {
		return fmt.Errorf("secret of token %q: %w: a key is empty, too long or not text", s.TokenID, ErrInvalid)
	}
	return nil
}

// Check says with [ErrInvalid] what keeps a from being stored.
func (a Account) Check() error {
	if !Storable(a.ID, string(a.Kind), a.Name, a.Source, a.Subject) || a.ID == "" {
		return fmt.Errorf("account %q: %w: a key is empty, too long or not text", a.ID, ErrInvalid)
	}
	if !cleanAll([]string{a.Email, a.Note, a.PasswordHash, a.Fingerprint, a.DisabledReason}) {
		return fmt.Errorf("account %q: %w: not UTF-8 text", a.ID, ErrInvalid)
	}
	return nil
}

// Check says with [ErrInvalid] what keeps g from being stored.
func (g Group) Check() error {
	if !Storable(g.Name) || g.Name == "" || !clean(g.Note) {
		return fmt.Errorf("group %q: %w: the name is empty, too long or not text", g.Name, ErrInvalid)
	}
	return nil
}

// Check says with [ErrInvalid] what keeps g from being stored.
func (g Grant) Check() error {
	if (g.AccountID == "") == (g.Group == "") {
		return fmt.Errorf("grant %q: %w: it needs an account or a group, not both", g.ID, ErrInvalid)
	}
	if !Storable(g.ID, g.AccountID, g.Group, g.Scope, g.CreatedBy) || g.ID == "" {
		return fmt.Errorf("grant %q: %w: a key is empty, too long or not text", g.ID, ErrInvalid)
	}
	return nil
}

// Check says with [ErrInvalid] what keeps c from being stored.
func (c Change) Check() error {
	if !Storable(string(c.Kind), c.TokenID, c.AccountID) {
		return fmt.Errorf("change of token %q, account %q: %w", c.TokenID, c.AccountID, ErrInvalid)
	}
	return nil
}

// CheckLimit says with [ErrInvalid] that a list was asked for without a limit.
func CheckLimit(limit int) error {
	if limit <= 0 {
		return fmt.Errorf("%w: a list with a limit of %d", ErrInvalid, limit)
	}
	return nil
}

// Clean returns e as stores keep it. Much of an event comes from whoever sent
// the request, and an event that no database takes would be lost with all
// others of its batch, so its texts are cut and mended instead of refused.
func (e Event) Clean() Event {
	for _, key := range []*string{
		&e.ID, &e.Action, &e.Outcome, &e.Reason, &e.ActorID, &e.ActorName, &e.TokenID,
		&e.Target, &e.Addr, &e.Agent, &e.RequestID, &e.CorrelationID,
	} {
		*key = mend(*key, MaxKey)
	}
	if !cleanMap(e.Detail) || tooLong(e.Detail) {
		detail := make(map[string]string, len(e.Detail))
		for k, v := range e.Detail {
			detail[mend(k, MaxKey)] = mend(v, maxDetail)
		}
		e.Detail = detail
	}
	e.Count = max(e.Count, 1)
	return e
}

// Clean returns u as stores keep it, for the same reason as [Event.Clean].
func (u Use) Clean() Use {
	u.Agent = mend(u.Agent, MaxKey)
	if !Storable(u.Addr.Zone()) {
		u.Addr = u.Addr.WithZone("")
	}
	return u
}

// PrefixEnd returns the smallest text, by bytes, that is greater than every
// text with the given prefix, so that a search by prefix is one range of an
// index. It reports false when there is none.
func PrefixEnd(prefix string) (string, bool) {
	for prefix != "" {
		r, n := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-n]
		if r == 0xD7FF { // the next one in order is behind the surrogates
			return prefix + "\uE000", true
		}
		if r < utf8.MaxRune {
			return prefix + string(r+1), true
		}
	}
	return "", false
}

func clean(s string) bool {
	return strings.IndexByte(s, 0) < 0 && utf8.ValidString(s)
}

func cleanAll(list []string) bool {
	for _, s := range list {
		if !clean(s) {
			return false
		}
	}
	return true
}

func cleanMap(m map[string]string) bool {
	for k, v := range m {
		if !clean(k) || !clean(v) {
			return false
		}
	}
	return true
}

func tooLong(m map[string]string) bool {
	for k, v := range m {
		if len(k) > MaxKey || len(v) > maxDetail {
			return true
		}
	}
	return false
}

// mend makes s storable and at most limit bytes long.
func mend(s string, limit int) string {
	if len(s) <= limit && clean(s) {
		return s
	}
	if len(s) > limit {
		for limit > 0 && !utf8.RuneStart(s[limit]) {
			limit--
		}
		s = s[:limit]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "?"), "\x00", "?")
}
