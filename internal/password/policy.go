package password

import (
	_ "embed"
	"errors"
	"strings"
	"unicode/utf8"
)

// MinLength is the least number of characters of a new password (ASVS 6.2.1).
const MinLength = 8

var (
	// ErrTooShort is returned for a new password of fewer than MinLength
	// characters.
	ErrTooShort = errors.New("password: shorter than 8 characters")
	// ErrTooLong is returned for a password of more than MaxLength bytes.
	ErrTooLong = errors.New("password: longer than 1024 bytes")
	// ErrCommon is returned for a new password that is among the first that
	// anybody would try.
	ErrCommon = errors.New("password: among the most common ones")
)

// common lists well-known breached passwords of MinLength and more characters,
// in lower case, one a line.
//
//go:embed common.txt
var common string

// CheckNew applies the rules for new passwords: at least MinLength characters,
// at most MaxLength bytes, and not one of the most common ones, whatever its
// case. Any characters are allowed and no mixture of them is asked for. The
// errors are ErrTooShort, ErrTooLong and ErrCommon.
func CheckNew(password string) error {
	switch {
	case len(password) > MaxLength:
		return ErrTooLong
	case utf8.RuneCountInString(password) < MinLength:
		return ErrTooShort
	}
	folded := strings.ToLower(password)
	for line := range strings.Lines(common) {
		if strings.TrimSuffix(line, "\n") == folded {
			return ErrCommon
		}
	}
	return nil
}
