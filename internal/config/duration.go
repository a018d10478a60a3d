package config

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// longest bounds durations, far from overflow.
const longest = 36500 * day

type unit struct {
	name string
	size time.Duration
}

// units are in falling order, for [FormatDuration].
func units() []unit {
	return []unit{{"w", 7 * day}, {"d", day}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}}
}

// ParseDuration reads a duration as people write it: whole numbers with the
// units w, d, h, m, s and ms, as in 90d or 1h30m, or 0. Errors do not repeat
// the text.
func ParseDuration(text string) (time.Duration, error) {
	bad := errors.New("want a duration such as 90d, 12h, 30m or 0")
	if text == "0" {
		return 0, nil
	}
	if text == "" {
		return 0, bad
	}
	var sum time.Duration
	for rest := text; rest != ""; {
		digits := leading(rest, func(c byte) bool { return c >= '0' && c <= '9' })
		letters := leading(rest[digits:], func(c byte) bool { return c >= 'a' && c <= 'z' })
		if digits == 0 || digits > 12 {
			return 0, bad
		}
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		if err != nil {
			return 0, bad
		}
		size, ok := unitSize(rest[digits : digits+letters])
		if !ok {
			return 0, bad
		}
		if time.Duration(n) > longest/size || sum+time.Duration(n)*size > longest {
			return 0, errors.New("want a duration of at most a hundred years")
		}
		sum += time.Duration(n) * size
		rest = rest[digits+letters:]
	}
	return sum, nil
}

func unitSize(name string) (time.Duration, bool) {
	for _, u := range units() {
		if u.name == name {
			return u.size, true
		}
	}
	return 0, false
}

func leading(s string, is func(byte) bool) int {
	n := 0
	for n < len(s) && is(s[n]) {
		n++
	}
	return n
}

// FormatDuration writes a duration of whole milliseconds so that
// [ParseDuration] reads it: 90d, 1h30m, 0. It does not use weeks.
func FormatDuration(d time.Duration) string {
	if d <= 0 {
		return "0"
	}
	var b strings.Builder
	for _, u := range units() {
		if n := d / u.size; n > 0 && u.name != "w" {
			b.WriteString(strconv.FormatInt(int64(n), 10))
			b.WriteString(u.name)
			d -= n * u.size
		}
	}
	return b.String()
}
