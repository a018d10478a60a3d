// Package clock tells the time by which tokens end. It is the machine's, except
// that setting the machine's clock back does not set it back: what has ended
// stays ended. It measures no durations and starts no timers; package time does.
package clock

import "time"

// Patience is the longest jump back that is held against. A longer one is
// followed: a clock that far off was wrong before, and its correction has to
// be possible without a restart.
const Patience = 10 * time.Minute

// Steady returns a clock for the life of the process. It reads the machine's
// and costs no more than a subtraction besides.
func Steady() func() time.Time {
	started := time.Now()
	return New(func() (time.Time, time.Duration) {
		now := time.Now()
		return now, now.Sub(started) // by the monotonic clock
	})
}

// New returns a clock that goes by what read returns: the time that the
// machine's clock shows, which may jump, and how long the process has run,
// which only grows.
func New(read func() (shown time.Time, running time.Duration)) func() time.Time {
	first, before := read()
	return func() time.Time {
		shown, running := read()
		steady := first.Add(running - before)
		if back := steady.UnixNano() - shown.UnixNano(); back > 0 && back <= int64(Patience) {
			return steady
		}
		return shown
	}
}
