package audit

import (
	"context"
	"net/netip"
	"time"

	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// Checks says which successful checks of tokens are events. Refused ones
// always are. The empty Checks is [ChecksSampled].
type Checks string

// Amounts of events about successful checks.
const (
	ChecksNone    Checks = "none"
	ChecksSampled Checks = "sampled" // one for each token, door and address in ten minutes
	ChecksAll     Checks = "all"     // one for each check; for few of them
)

// ActionCheck is the action of events about tokens that were checked.
const ActionCheck = "token.check"

const (
	usageEvery = 10 * time.Minute
	mostUsage  = 20_000 // tokens, doors and addresses that are told apart meanwhile
)

// Use is when a token was used at one door from one address.
type Use struct {
	By          *identity.Identity
	Door        string
	Addr        netip.Addr
	First, Last time.Time
	Seconds     int // with a use, from First to Last
}

type usageKey struct {
	token, door string
	addr        netip.Addr
}

// usage gathers successful checks until they are written.
type usage struct {
	since time.Time // when gathering began; zero: nothing is gathered
	rows  map[usageKey]*used
	ready []store.Event // what the next write takes along
}

type used struct {
	by          identity.Identity
	first, last time.Time
	seconds     int
}

// Door names the door that the request of ctx came to.
func Door(ctx context.Context) string {
	r := FromContext(ctx)
	return r.door()
}

// Used counts uses of a token. It is written with all others of the same
// token, door and address after some minutes, as one event.
func (l *Log) Used(u Use) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := usageKey{u.By.TokenID, u.Door, u.Addr}
	row := l.usage.rows[key]
	if row == nil {
		if len(l.usage.rows) >= mostUsage {
			l.finishUsage()
		}
		if l.usage.rows == nil {
			l.usage.since, l.usage.rows = time.Now(), map[usageKey]*used{}
		}
		row = &used{by: identity.Identity{AccountID: u.By.AccountID, Name: u.By.Name, TokenID: u.By.TokenID}, first: u.First}
		l.usage.rows[key] = row
	}
	row.last = u.Last
	row.seconds += u.Seconds
}

// FinishUsage lets the next write take along the uses that were gathered up to
// now, which otherwise comes every ten minutes.
func (l *Log) FinishUsage() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.finishUsage()
}

// takeUsage returns the events that are due. The caller holds the lock.
func (l *Log) takeUsage() []store.Event {
	if l.usage.rows != nil && time.Since(l.usage.since) >= usageEvery {
		l.finishUsage()
	}
	ready := l.usage.ready
	l.usage.ready = nil
	return ready
}

// finishUsage makes the events. The caller holds the lock.
func (l *Log) finishUsage() {
	for key, row := range l.usage.rows {
		e := Event(context.Background(), row.last, &row.by, ActionCheck, OK)
		if key.addr.IsValid() {
			e.Addr = key.addr.String()
		}
		e.Count = row.seconds
		e.Detail = map[string]string{
			"door": Clip(key.door), "counted": "seconds with a use",
			"first": row.first.UTC().Format(time.RFC3339), "last": row.last.UTC().Format(time.RFC3339),
		}
		l.usage.ready = append(l.usage.ready, e)
	}
	l.usage.rows = nil
}
