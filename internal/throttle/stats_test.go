package throttle

import (
	"testing"
	"time"
)

func TestStats(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	l := New(Options{Pair: Rate{1, time.Hour}, Address: Rate{2, time.Hour}, Now: func() time.Time { return now }})
	for _, account := range []string{"a", "a", "b", "c"} { // the second a is too many for a, c too many for the address
		if attempt, _ := l.Begin(account, "192.0.2.1"); attempt != nil {
			attempt.Failed()
		}
	}
	got := l.Stats()
	if got.RefusedByAddress != 1 || got.RefusedByAccount != 1 || got.Entries == 0 {
		t.Errorf("Stats() = %+v, want one refusal of each kind, and entries", got)
	}
}
