package config

import (
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "90d": 90 * day, "12h": 12 * time.Hour, "30m": 30 * time.Minute, "1h30m": 90 * time.Minute,
		"2w": 14 * day, "100ms": 100 * time.Millisecond, "1d1s500ms": day + 1500*time.Millisecond, "36500d": longest,
	} {
		got, err := ParseDuration(text)
		if err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "1", "d", "-1d", "1.5h", "1 d", "1y", "1us", "1H", "1d ", "36501d", "36500d1ms", "999999999999w", "9999999999999999999d", "1d-"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", text, got)
		}
	}
}

func TestFormatDuration(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0": 0, "90d": 90 * day, "1h30m": 90 * time.Minute, "1m": time.Minute, "100ms": 100 * time.Millisecond, "1d1ms": day + time.Millisecond,
	} {
		if got := FormatDuration(d); got != want {
			t.Errorf("FormatDuration(%v) = %q, want %q", d, got, want)
		}
	}
}

func FuzzParseDuration(f *testing.F) {
	for _, s := range []string{"0", "90d", "1h30m", "500ms", "1w2d3h4m5s6ms", "99999999999999999999d", "1", "ms"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDuration(s)
		if err != nil {
			return
		}
		if d < 0 || d > longest {
			t.Fatalf("ParseDuration(%q) = %v, want it between 0 and a hundred years", s, d)
		}
		again, err := ParseDuration(FormatDuration(d))
		if err != nil || again != d {
			t.Errorf("ParseDuration(FormatDuration(%v)) = %v, %v", d, again, err)
		}
	})
}
