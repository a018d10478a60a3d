package config

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// FuzzFile reads documents: no panic, no end of time, no control characters in
// what is said about them, and what is accepted can be shown and read again.
func FuzzFile(f *testing.F) {
	for _, doc := range []string{
		full, aPulp, "", "listen: 127.0.0.1:1", "a: &a [*a, *a]", "a: &a b\nc: *a", "<<: {}", "routes: [{open: [[]]}]", "? {a: b}\n: c",
		"secret: [hidden]", "log:\n  level: !!binary aGk=", "--- a\n--- b", "check: {bound: 99999999999d}", strings.Repeat("[", 50), "{{{{", "\"\\",
		"trusted_proxies: ['::ffff:1.2.3.4/120', fe80::1%eth0]", "log: {level: debug, level: info}", "a\x00: b", "%YAML 1.2\n---\nlisten: x",
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		if !utf8.Valid(doc) || len(doc) > maxFile {
			return // read refuses these
		}
		c, err := loadBytes(doc)
		if err != nil {
			for _, line := range strings.Split(err.Error(), "\n") {
				if strings.ContainsFunc(line, isControl) {
					t.Errorf("the error has control characters: %q", line)
				}
			}
			return
		}
		out := show(t, c, ShowOptions{Origin: true})
		if strings.Contains(out, hidden) {
			return // cannot be read again
		}
		again, err := loadBytes([]byte(out))
		if err != nil {
			t.Fatalf("what was shown of %q cannot be read: %v\n%s", doc, err, out)
		}
		if diff := cmp.Diff(c, again, same()); diff != "" {
			t.Errorf("what was shown of %q says something else (-want +got):\n%s", doc, diff)
		}
	})
}

// loadBytes is Load without files.
func loadBytes(doc []byte) (Config, error) {
	l := newLoader()
	l.file.content = doc
	l.readDocument(Origin{Layer: FromFile, File: "f"})
	return l.finish()
}
