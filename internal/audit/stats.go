package audit

// Stats is what a [Log] has done since it was made, and what waits.
type Stats struct {
	Waiting  int   // rows that are not written yet
	Recorded int64 // events that were taken
	Tallied  int64 // events that were counted by [Log.Tally] or [Log.Limited] instead of kept
	Gathered int64 // events that were counted in another one because too many waited
	Written  int64 // rows that were written
	Failures int64 // writes that failed; what was in them waits on
}

// Stats returns the counts.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	st := l.stats
	st.Waiting = len(l.waiting)
	for _, t := range l.tallies {
		if t.gathered != nil {
			st.Waiting++
		}
	}
	return st
}

func (l *Log) wrote(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Written += int64(n)
}
