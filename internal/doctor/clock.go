package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// How far clocks may be apart. Ends of tokens are compared with the clock of
// each node, and what is signed counts from the moment on that it names.
const (
	clockNoticed = 3 * time.Second
	clockBroken  = 30 * time.Second
)

// reading is what another clock said between two moments of ours.
type reading struct {
	whose         string
	before, after time.Time
	low, high     time.Time // the other clock was between these
}

// off is by how much the other clock is ahead of ours at least, or behind if it
// is negative. The time that the answer took does not count against it.
func (r reading) off() time.Duration {
	if d := r.low.Sub(r.after); d > 0 {
		return d
	}
	if d := r.high.Sub(r.before); d < 0 {
		return d
	}
	return 0
}

// clocks compares this machine's clock with every other that can be asked
// (S114).
func clocks(ctx context.Context, x *examination) []Finding {
	var readings []reading
	if d, err := x.database(); err == nil && d.Postgres != nil {
		p := d.Postgres
		readings = append(readings, reading{"the database", p.Before, p.After, p.Time, p.Time})
	}
	ask := func(whose string, to *prober, err error, path string) {
		if err != nil {
			return // said by the check of that one
		}
		if a, err := to.get(ctx, path); err == nil && !a.date.IsZero() {
			readings = append(readings, reading{whose, a.before, a.after, a.date, a.date.Add(time.Second)})
		}
	}
	if p := x.Config.Pulp; p.API != "" {
		to, err := x.prober(p.API)
		ask("Pulp's API server", to, err, x.pulpPath("status/"))
		to, err = x.prober(p.Content)
		ask("Pulp's content server", to, err, p.ContentPathPrefix)
	}
	to, err := x.ownProber()
	ask("the running server", to, err, alivePath)
	if x.URL != "" {
		to, err = x.prober(x.URL)
		ask("the proxy in front", to, err, alivePath)
	}
	return append(judgeClocks(readings), x.unsynchronized()...)
}

func judgeClocks(readings []reading) []Finding {
	var list []Finding
	var agree []string
	for _, r := range readings {
		off := r.off().Round(time.Second)
		f := Finding{
			Level: Warning, Seen: fmt.Sprintf("the clock of %s is %s", r.whose, apart(off)),
			Why:   "tokens end too early or too late on one of the two, and what one has signed is not yet, or no more, good for the other",
			Where: atCommand, Fix: []string{"timedatectl set-ntp true", "chronyc tracking   # or: timedatectl timesync-status"},
		}
		switch abs := off.Abs(); {
		case abs >= clockBroken:
			f.Level = Problem
		case abs < clockNoticed:
			agree = append(agree, r.whose)
			continue
		}
		list = append(list, f)
	}
	if len(agree) > 0 {
		list = append(list, fine("this machine's clock agrees with that of %s", strings.Join(agree, ", ")))
	}
	return list
}

func apart(off time.Duration) string {
	if off < 0 {
		return fmt.Sprintf("at least %s behind that of this machine", -off)
	}
	return fmt.Sprintf("at least %s ahead of that of this machine", off)
}

func (x *examination) unsynchronized() []Finding {
	known, is := x.Synced()
	if !known || is {
		return nil
	}
	return []Finding{{
		Level: Warning, Seen: "the system says that nothing keeps this machine's clock right",
		Why: "tokens end by this clock, and others believe what is signed by its time", Where: atCommand, Fix: []string{"timedatectl set-ntp true"},
	}}
}
