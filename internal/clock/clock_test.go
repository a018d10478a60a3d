package clock

import (
	"testing"
	"time"
)

// machine is a clock that somebody else sets.
type machine struct {
	set     time.Duration // by how much it was set ahead
	running time.Duration
}

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func (m *machine) read() (time.Time, time.Duration) {
	return start.Add(m.running + m.set), m.running + time.Hour // the process is older than the clock
}

// S114: a jump back is not followed, one ahead is, and time goes on in any
// case.
func TestJumps(t *testing.T) {
	for _, tt := range []struct {
		name string
		set  time.Duration
		want time.Duration // how far the clock is ahead of a right one
	}{
		{"none", 0, 0},
		{"five minutes back", -5 * time.Minute, 0},
		{"a second back", -time.Second, 0},
		{"as far back as is held against", -Patience, 0},
		{"further back", -Patience - time.Nanosecond, -Patience - time.Nanosecond},
		{"a day back", -24 * time.Hour, -24 * time.Hour},
		{"five minutes ahead", 5 * time.Minute, 5 * time.Minute},
		{"a day ahead", 24 * time.Hour, 24 * time.Hour},
	} {
		m := &machine{}
		now := New(m.read)
		for _, running := range []time.Duration{time.Second, time.Minute, time.Hour} {
			m.running, m.set = running, tt.set
			if got, want := now(), start.Add(running+tt.want); !got.Equal(want) {
				t.Errorf("%s, after %v: now() = %v, want %v", tt.name, running, got, want)
			}
			m.set = 0
			if got, want := now(), start.Add(running); !got.Equal(want) {
				t.Errorf("%s, and set right again: now() = %v, want %v", tt.name, got, want)
			}
		}
	}
}

func TestSteady(t *testing.T) {
	now := Steady()
	for range 1000 {
		before, got, after := time.Now(), now(), time.Now()
		if got.Before(before) || got.After(after) {
			t.Fatalf("Steady() = %v, want the time between %v and %v", got, before, after)
		}
	}
	if n := testing.AllocsPerRun(100, func() { now() }); n != 0 {
		t.Errorf("%v allocations each time, want none: it is on the way of every check", n)
	}
}
