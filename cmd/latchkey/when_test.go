package main

import (
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90d":                   90 * day,
		"12h":                   12 * time.Hour,
		"1w2d3h4m5s":            9*day + 3*time.Hour + 4*time.Minute + 5*time.Second,
		"36500d":                36500 * day,
		"":                      0,
		"0d":                    0,
		"90":                    0,
		"d":                     0,
		"-1d":                   0,
		"1.5h":                  0,
		"1 d":                   0,
		"1y":                    0,
		"never":                 0,
		"36500d1s":              0,
		"36501d":                0,
		"9999999999w":           0,
		"99999999999999999999d": 0,
	} {
		got, err := parseDuration(text)
		if got != want || (err != nil) != (want == 0) {
			t.Errorf("parseDuration(%q): got %v, %v; want %v", text, got, err, want)
		}
	}
}

func FuzzParseDuration(f *testing.F) {
	for _, seed := range []string{"90d", "1w2d", "never", "9999999999w", "0s", "1d ", "٣d"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseDuration(text)
		if err == nil && (d <= 0 || d > longest || d%time.Second != 0) {
			t.Errorf("parseDuration(%q): got %v", text, d)
		}
		if err != nil && d != 0 {
			t.Errorf("parseDuration(%q): got %v with the error %v", text, d, err)
		}
	})
}

func TestParseEnd(t *testing.T) {
	for _, tt := range []struct {
		text    string
		seconds int64 // -1: none
		at      string
	}{
		{"never", 0, ""},
		{"90d", 90 * 86400, ""},
		{"2027-01-31", -1, "2027-01-31T00:00:00Z"},
		{"2027-01-31T10:00:00+02:00", -1, "2027-01-31T08:00:00Z"},
	} {
		seconds, at, err := parseEnd(tt.text)
		if err != nil {
			t.Errorf("parseEnd(%q): %v", tt.text, err)
			continue
		}
		if (seconds == nil) != (tt.seconds < 0) || seconds != nil && *seconds != tt.seconds {
			t.Errorf("parseEnd(%q): got %v seconds, want %d", tt.text, seconds, tt.seconds)
		}
		if (at == nil) != (tt.at == "") || at != nil && at.Format(time.RFC3339) != tt.at {
			t.Errorf("parseEnd(%q): got %v, want %s", tt.text, at, tt.at)
		}
	}
	for _, text := range []string{"", "tomorrow", "2027-02-30", "31.1.2027"} {
		if _, _, err := parseEnd(text); err == nil {
			t.Errorf("parseEnd(%q): got no error", text)
		}
	}
}

func TestParsePast(t *testing.T) {
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"24h":                  now.Add(-day),
		"2d ago":               now.Add(-2 * day),
		"2026-03-01":           time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC),
		"2026-03-01T01:00:00Z": time.Date(2026, 3, 1, 1, 0, 0, 0, time.UTC),
	} {
		if got, err := parsePast(text, now); err != nil || !got.Equal(want) {
			t.Errorf("parsePast(%q): got %v, %v; want %v", text, got, err, want)
		}
	}
	if _, err := parsePast("yesterday", now); err == nil {
		t.Error(`parsePast("yesterday"): got no error`)
	}
}

func TestRelative(t *testing.T) {
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	for ahead, want := range map[time.Duration]string{
		0:                       "just now",
		-300 * time.Millisecond: "just now",
		-5 * time.Second:        "5s ago",
		-90 * time.Second:       "1m ago",
		-47 * time.Hour:         "47h ago",
		-3 * day:                "3d ago",
		-900 * day:              "2y ago",
		89*day + time.Hour:      "in 89d",
		30 * time.Minute:        "in 30m",
	} {
		if got := relative(now.Add(ahead), now); got != want {
			t.Errorf("relative(now %+v): got %q, want %q", ahead, got, want)
		}
	}
	if got := relativeOr(nil, now, "never"); got != "never" {
		t.Errorf("relativeOr(nil): got %q, want never", got)
	}
}
