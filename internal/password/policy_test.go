package password

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// S101.
func TestCheckNew(t *testing.T) {
	for _, tc := range []struct {
		password string
		want     error
	}{
		{"", ErrTooShort},
		{"sevench", ErrTooShort},
		{"eightch.", nil},
		{"ключик7", ErrTooShort}, // characters, not bytes
		{"ключики8", nil},
		{"🔑🔑🔑🔑🔑🔑🔑🔒", nil},
		{"        ", nil},
		{"with\x00nul and \xff bytes", nil},
		{"correct horse battery", nil},
		{strings.Repeat("long", MaxLength/4), nil},
		{strings.Repeat("long", MaxLength/4) + "x", ErrTooLong},
		{"password", ErrCommon},
		{"Password1", ErrCommon},
		{"PASSWORD", ErrCommon},
		{"qwertyuiop", ErrCommon},
		{"12345678", ErrCommon},
		{"p4ssword", ErrCommon}, // the last line of the list
		{"password\n", nil},     // one character more
		{"12345678\n123456789", nil},
	} {
		if got := CheckNew(tc.password); !errors.Is(got, tc.want) {
			t.Errorf("CheckNew(%.30q) = %v, want %v", tc.password, got, tc.want)
		}
	}
}

func TestCommonList(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix(common, "\n"), "\n")
	if len(lines) < 200 {
		t.Errorf("the list has %d passwords, want 200 and more", len(lines))
	}
	for i, line := range lines {
		switch {
		case utf8.RuneCountInString(line) < MinLength:
			t.Errorf("line %d, %q, is refused for its length already", i+1, line)
		case line != strings.ToLower(line) || strings.ContainsAny(line, "\r \t"):
			t.Errorf("line %d, %q, could never be met", i+1, line)
		case slices.Contains(lines[:i], line):
			t.Errorf("line %d, %q, is there twice", i+1, line)
		case CheckNew(line) != ErrCommon:
			t.Errorf("CheckNew(%q) = nil, want ErrCommon", line)
		}
	}
}
