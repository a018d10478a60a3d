package main

import (
	"fmt"
	"strings"
	"time"
)

const day = 24 * time.Hour

// longest bounds durations on the command line, far from overflow.
const longest = 36500 * day

// parseDuration reads durations as people write them: "90d", "12h", "1w2d".
// Units are w, d, h, m and s.
func parseDuration(text string) (time.Duration, error) {
	units := map[byte]time.Duration{'w': 7 * day, 'd': day, 'h': time.Hour, 'm': time.Minute, 's': time.Second}
	bad := fmt.Errorf("%q is no duration; write for example 90d, 12h or 1w2d", text)
	var sum time.Duration
	rest := text
	for rest != "" {
		n, digits := time.Duration(0), 0
		for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
			n = n*10 + time.Duration(rest[digits]-'0')
			if digits++; digits > 10 {
				return 0, bad
			}
		}
		if digits == 0 || digits == len(rest) {
			return 0, bad
		}
		unit, known := units[rest[digits]]
		if !known {
			return 0, bad
		}
		if n > longest/unit {
			return 0, fmt.Errorf("%q is longer than a hundred years", text)
		}
		sum += n * unit
		rest = rest[digits+1:]
		if sum > longest {
			return 0, fmt.Errorf("%q is longer than a hundred years", text)
		}
	}
	if sum == 0 {
		return 0, bad
	}
	return sum, nil
}

// parseTime reads a date, which is its first moment in UTC, or a time as RFC
// 3339 writes it.
func parseTime(text string) (time.Time, bool) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// parseEnd reads when something ends: a duration from now, a date, a time, or
// "never". Only one of the results is set; a duration of 0 seconds is never.
func parseEnd(text string) (seconds *int64, at *time.Time, err error) {
	if text == "never" {
		return new(int64), nil, nil
	}
	if t, ok := parseTime(text); ok {
		return nil, &t, nil
	}
	d, err := parseDuration(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%w, 2027-01-31, or never", err)
	}
	s := int64(d / time.Second)
	return &s, nil, nil
}

// parsePast reads a moment that has passed: how long ago, a date, or a time.
func parsePast(text string, now time.Time) (time.Time, error) {
	if t, ok := parseTime(text); ok {
		return t, nil
	}
	d, err := parseDuration(strings.TrimSuffix(text, " ago"))
	if err != nil {
		return time.Time{}, fmt.Errorf("%w, or a date", err)
	}
	return now.Add(-d), nil
}

// shortDuration rounds down to the one unit that people would say.
func shortDuration(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 2*day:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d < 730*day:
		return fmt.Sprintf("%dd", d/day)
	}
	return fmt.Sprintf("%dy", d/(365*day))
}

// relative says how far a moment is from now.
func relative(t, now time.Time) string {
	if d := t.Sub(now); d > 0 {
		return "in " + shortDuration(d)
	}
	if d := now.Sub(t); d >= time.Second {
		return shortDuration(d) + " ago"
	}
	return "just now"
}

// relativeOr is relative for what may never happen.
func relativeOr(t *time.Time, now time.Time, never string) string {
	if t == nil {
		return never
	}
	return relative(*t, now)
}

// exact says a moment for those who need all of it, and how far it is.
func exact(t *time.Time, now time.Time, never string) string {
	if t == nil {
		return never
	}
	return fmt.Sprintf("%s (%s)", t.UTC().Format(time.RFC3339), relative(*t, now))
}
