package serverkey

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const (
	hexA = "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"
	hexB = "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"
)

func writeFile(t *testing.T, text string, mode fs.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "server.key")
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatalf("WriteFile() = %v", err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatalf("Chmod() = %v", err)
	}
	return path
}

// ids returns the ids of a ring, or "" for none.
func ids(r *Ring) string {
	if r == nil {
		return ""
	}
	var list []string
	for _, k := range r.Keys() {
		list = append(list, k.ID())
	}
	return strings.Join(list, " ")
}

func TestLoad(t *testing.T) {
	tests := []struct {
		name string
		text string
		want string
	}{
		{"one", "a " + hexA + "\n", "a"},
		{"no line break at the end", "a " + hexA, "a"},
		{"two", "b " + hexB + "\na " + hexA + "\n", "b a"},
		{"comments and empty lines", "# new\n\nb " + hexB + "\n  \n  # old\na " + hexA + "\n\n", "b a"},
		{"spaces around", "  a   " + hexA + "  \n", "a"},
		{"Windows", "# new\r\nb " + hexB + "\r\na " + hexA + "\r\n", "b a"},
		{"capitals", "a " + strings.ToUpper(hexA) + "\n", "a"},
		{"a longer secret", "a " + hexA + hexB + "\n", "a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := Load(writeFile(t, tt.text, 0o600), false)
			if err != nil || ids(r) != tt.want {
				t.Errorf("Load(%q) = %q, %v, want %q", tt.text, ids(r), err, tt.want)
			}
			parsed, err := Parse(strings.ReplaceAll(dropComments(tt.text), "\n", ","))
			if err != nil || ids(parsed) != tt.want {
				t.Errorf("Parse() of the same = %q, %v, want %q", ids(parsed), err, tt.want)
			}
			if r != nil && parsed != nil && r.Current().Digest("x") != parsed.Current().Digest("x") {
				t.Errorf("Load() and Parse() of the same make different keys")
			}
		})
	}
}

// dropComments leaves the lines with keys.
func dropComments(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// S76: errors name the file and the line, and never echo what stands there.
func TestLoadRefuses(t *testing.T) {
	const half = "deadbeefdeadbeefdeadbeefdeadbeef"
	tests := []struct {
		name string
		text string
		line string // what the error names besides the file
	}{
		{"empty", "", ""},
		{"only comments", "# a " + hexA + "\n\n", ""},
		{"a secret alone", half + half + "\n", "line 1"},
		{"no hexadecimal digits", "a " + half + "deadbeefdeadbeefdeadbeefdeadbeeg\n", "line 1"},
		{"an odd number of digits", "a " + half + half + "d\n", "line 1"},
		{"short", "a " + half + "\n", "line 1"},
		{"split in two halves", half + " " + half + "\n", "line 1"},
		{"the other way round", half + half + " a\n", "line 1"},
		{"no id", " " + half + half + "\n", "line 1"},
		{"a long id", strings.Repeat("deadbeef", 5) + " " + half + half + "\n", "line 1"},
		{"something behind", "a " + half + half + " deadbeef\n", "line 1"},
		{"a comment behind", "a " + half + half + " # deadbeef\n", "line 1"},
		{"the second line", "# deadbeef\nb " + hexB + "\n\na " + half + "\n", "line 4"},
		{"twice the same id", "a " + hexA + "\na " + half + half + "\n", ""},
		{"a very long line", "a " + strings.Repeat("deadbeef", 10000) + "\n", ""},
		{"binary", "\x00\x01deadbeef\xff\n", "line 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := writeFile(t, tt.text, 0o600)
			r, err := Load(path, true)
			if err == nil || r != nil {
				t.Fatalf("Load(%q) = %q, %v, want an error", tt.text, ids(r), err)
			}
			if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), tt.line) {
				t.Errorf("Load() = %v, want %s and %q in it", err, path, tt.line)
			}
			if strings.Contains(err.Error(), "deadbeef") {
				t.Errorf("Load() = %v, want nothing of the content in it", err)
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != tt.text {
				t.Errorf("ReadFile() = %q, %v, want the file as it was", got, err)
			}
		})
	}
}

// S76
func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"", ",", "\n", "deadbeef", "a deadbeef", "a deadbeeg" + hexA, "a " + hexA + ",a " + hexB, "a " + hexA + ",deadbeef", "a " + hexA + ";deadbeef",
		"deadbeefdeadbeefdeadbeefdeadbeef deadbeefdeadbeefdeadbeefdeadbeef",
	} {
		r, err := Parse(text)
		if err == nil || r != nil {
			t.Errorf("Parse(%q) = %q, %v, want an error", text, ids(r), err)
			continue
		}
		if strings.Contains(err.Error(), "deadbee") {
			t.Errorf("Parse(%q) = %v, want nothing of the content in it", text, err)
		}
	}
	if _, err := Parse("b " + hexB + ",a 00"); err == nil || !strings.Contains(err.Error(), "key 2") {
		t.Errorf("Parse() = %v, want key 2 named", err)
	}
}

// S76
func TestLoadMode(t *testing.T) {
	for _, mode := range []fs.FileMode{0o600, 0o400, 0o700} {
		if r, err := Load(writeFile(t, "a "+hexA, mode), true); err != nil || ids(r) != "a" {
			t.Errorf("Load() with mode %o = %q, %v, want a", mode, ids(r), err)
		}
	}
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o777} {
		if r, err := Load(writeFile(t, "a "+hexA, mode), true); !errors.Is(err, ErrMode) || r != nil {
			t.Errorf("Load() with mode %o = %q, %v, want ErrMode", mode, ids(r), err)
		}
	}
}

// S73, S76
func TestLoadCreates(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "server.key")
	if _, err := Load(path, false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load() without create = %v, want ErrNotExist", err)
	}
	made, err := Load(path, true)
	if err != nil {
		t.Fatalf("Load() = %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("Stat() = %v, %v, want mode 0600", info.Mode(), err)
	}
	again, err := Load(path, true)
	if err != nil || ids(again) != ids(made) || again.Current().Digest("x") != made.Current().Digest("x") {
		t.Errorf("Load() again = %q, %v, want the same key %q", ids(again), err, ids(made))
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("ReadDir() = %v, %v, want the one file", entries, err)
	}
	if other, err := Load(filepath.Join(t.TempDir(), "server.key"), true); err != nil || ids(other) == ids(made) {
		t.Errorf("Load() elsewhere = %q, %v, want another key", ids(other), err)
	}
	if _, err := Load(filepath.Join(dir, "missing", "server.key"), true); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load() in a missing folder = %v, want ErrNotExist", err)
	}
	if r, err := Load(dir, true); err == nil {
		t.Errorf("Load() of a folder = %q, want an error", ids(r))
	}
}

// Servers that start at once on one folder agree on one key.
func TestLoadCreatesOnce(t *testing.T) {
	for range 20 {
		dir := t.TempDir()
		path := filepath.Join(dir, "server.key")
		rings := make([]*Ring, 8)
		var wg sync.WaitGroup
		for i := range rings {
			wg.Go(func() {
				var err error
				if rings[i], err = Load(path, true); err != nil {
					t.Errorf("Load() = %v", err)
				}
			})
		}
		wg.Wait()
		for _, r := range rings {
			if r == nil || r.Current().Digest("x") != rings[0].Current().Digest("x") {
				t.Fatalf("Load() at once: keys %q and %q, want one", ids(rings[0]), ids(r))
			}
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
			t.Fatalf("ReadDir() = %v, %v, want the one file", entries, err)
		}
	}
}

// The second of two servers takes the key of the first, even when it had
// looked before the first was done.
func TestCreateFileSecond(t *testing.T) {
	path := writeFile(t, "a "+hexA, 0o600)
	if r, err := createFile(path); err != nil || ids(r) != "a" {
		t.Errorf("createFile() = %q, %v, want the key that is there", ids(r), err)
	}
}

// FuzzParseKeys checks that nothing makes Parse panic, and that no error
// repeats what it read.
func FuzzParseKeys(f *testing.F) {
	for _, seed := range []string{"", "a " + hexA, "a " + hexA + ",b " + hexB, "a  ", " a", "# x", "a\t" + hexA, "a 0g", ",,\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Parse(text)
		if (err == nil) != (r != nil) {
			t.Errorf("Parse(%q) = %v, %v", text, r != nil, err)
		}
		if err != nil {
			for _, word := range strings.Fields(text) {
				if len(word) > 32 && strings.Contains(err.Error(), word) {
					t.Errorf("Parse(%q) = %v, want nothing of the content in it", text, err)
				}
			}
		}
	})
}
