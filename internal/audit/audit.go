// Package audit makes the events of the audit log: who did or was refused
// what, when, from where, and why. Operations that write do so with their
// event in one transaction; everything else goes through a [Log], which
// collects events in memory and writes them in batches.
package audit

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// Outcomes of an event.
const (
	OK      = "ok"
	Refused = "refused" // it was not allowed, or the credential was not good
	Failed  = "failed"  // it was allowed but could not be done
)

// Row is an event, for those who may not know of a store.
type Row = store.Event

// maxText bounds what an event keeps of texts from outside, in bytes.
const maxText = 256

// Event makes an event about an action. The actor may be nil.
func Event(ctx context.Context, now time.Time, actor *identity.Identity, action, outcome string) store.Event {
	r := FromContext(ctx)
	e := store.Event{
		ID: NewID(now), At: now.UTC(), Action: action, Outcome: outcome, Count: 1,
		Agent: Clip(r.Agent), RequestID: r.RequestID, CorrelationID: Clip(r.CorrelationID),
	}
	if r.Addr.IsValid() {
		e.Addr = r.Addr.String()
	}
	if actor != nil {
		e.ActorID, e.ActorName, e.TokenID = actor.AccountID, actor.Name, actor.TokenID
	}
	return e
}

// Clip shortens a text from outside, hides tokens that somebody has put there
// (S69), and replaces what could break a line of a log (S110).
func Clip(s string) string { return clip(s, maxText) }

// clipSlack is how much of what is cut off is looked at, so that a token is
// seen to be one that the cut goes through. It is longer than one.
const clipSlack = 64

func clip(s string, limit int) string {
	s = secret.Scrub(s[:min(len(s), limit+clipSlack)])
	if len(s) > limit {
		s = s[:limit]
	}
	return strings.Map(func(r rune) rune {
		if unprintable(r) {
			return '?'
		}
		return r
	}, s)
}

// Printable reports whether a text from outside can be shown as it is: valid
// UTF-8 without control characters, line breaks of any kind, characters that
// cannot be seen or turn the direction of others, and tokens.
func Printable(s string) bool { return !strings.ContainsFunc(s, unprintable) && secret.Scrub(s) == s }

func unprintable(r rune) bool {
	return unicode.IsControl(r) || r == utf8.RuneError || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Cf)
}

var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// lastID is the last 64 bits that began an id: 48 of milliseconds, then a count.
var lastID atomic.Uint64

// NewID returns an id that sorts by time: 26 characters, as ULIDs have them.
// 48 bits are milliseconds; 16 count the ids of one millisecond, so that events
// of one moment come in the order in which they were made; 64 are random.
func NewID(now time.Time) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], nextID(uint64(now.UnixMilli())<<16))
	_, _ = rand.Read(b[8:]) // never fails
	return idEncoding.EncodeToString(b[:])
}

// nextID returns the next 64 bits for ids of a millisecond. Past 65,536 of them
// the count begins anew, and only chance tells the ids apart.
func nextID(from uint64) uint64 {
	for {
		last, next := lastID.Load(), from
		if last&^0xFFFF == from {
			next = from | (last+1)&0xFFFF
		}
		if lastID.CompareAndSwap(last, next) {
			return next
		}
	}
}
