package audit

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
)

func TestStats(t *testing.T) {
	away := errors.New("away")
	keep := &fakeStore{fail: func() error { return away }}
	l := NewLog(keep, slog.New(slog.DiscardHandler))
	event := func() store.Event { return Event(t.Context(), time.Now(), nil, "login", Refused) }
	l.Record(event())
	for range 3 {
		l.Tally(TallyKey{Action: "token.check", Reason: "unknown"}, event)
	}
	if got, want := l.Stats(), (Stats{Waiting: 2, Recorded: 1, Tallied: 3}); got != want {
		t.Errorf("Stats() = %+v, want %+v", got, want)
	}
	l.Flush(t.Context())
	if got, want := l.Stats(), (Stats{Waiting: 2, Recorded: 1, Tallied: 3, Failures: 1}); got != want {
		t.Errorf("Stats() after a write that failed = %+v, want %+v", got, want)
	}
	away = nil
	l.Flush(t.Context())
	if got, want := l.Stats(), (Stats{Recorded: 1, Tallied: 3, Written: 2, Failures: 1}); got != want {
		t.Errorf("Stats() after a write = %+v, want %+v", got, want)
	}
	for range gatherFrom + 5 {
		l.Record(event())
	}
	if got := l.Stats(); got.Gathered != 4 || got.Waiting != gatherFrom+1 { // the first of equal ones is kept
		t.Errorf("Stats() of a flood = %+v, want 4 that are gathered and %d that wait", got, gatherFrom+1)
	}
}
