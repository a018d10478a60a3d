// Package secret has a type for strings that must not be seen: passwords,
// tokens, keys. Every ordinary way to print, log or encode it shows a
// placeholder; the one way to the text is [Text.Reveal], which can be found by
// searching for its name.
package secret

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const hidden = "[hidden]"

// Text is a secret string. The zero Text is the absence of one.
type Text struct{ s string }

// New wraps s.
func New(s string) Text { return Text{s} }

// Reveal returns the string. Use it only where the secret is checked, sent to
// the one who owns it, or stored sealed.
func (t Text) Reveal() string { return t.s }

// Empty reports whether there is no secret.
func (t Text) Empty() bool { return t.s == "" }

// Equal compares with other in constant time. An empty secret equals nothing,
// not even another empty one.
func (t Text) Equal(other string) bool {
	return t.s != "" && subtle.ConstantTimeCompare([]byte(t.s), []byte(other)) == 1
}

// String returns a placeholder.
func (t Text) String() string {
	if t.s == "" {
		return ""
	}
	return hidden
}

// GoString returns a placeholder.
func (t Text) GoString() string { return fmt.Sprintf("secret.Text(%q)", t.String()) }

// Format writes a placeholder, whatever the verb.
func (t Text) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// LogValue logs a placeholder.
func (t Text) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText encodes a placeholder, for JSON, YAML and the like.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText takes the secret from a decoded document.
func (t *Text) UnmarshalText(b []byte) error {
	t.s = string(b)
	return nil
}
