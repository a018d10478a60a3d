package htpasswd

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const bcryptHash = "$2y$05$PD9xuGtOMdSl36UHuh.jVOWkCK0SRLF5wzvBVX.3FVUi0nbZ3Y4gK"

func TestRead(t *testing.T) {
	got, err := Read(strings.NewReader(`# who may pull

alice:` + bcryptHash + `
bob:$apr1$abcdefgh$0123456789012345678901
carol:{SHA}0123456789012345678901234567=
dave:abcdefghijklm
erin:$6$salt$hash
frank:
twice:` + bcryptHash + `
twice:` + bcryptHash + "\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Line{
		{3, "alice", bcryptHash, ""},
		{4, "bob", "", "its hash is MD5, which is quick to guess"},
		{5, "carol", "", "its hash is one round of SHA-1, which is quick to guess"},
		{6, "dave", "", "its hash is an old crypt hash or the password itself"},
		{7, "erin", "", "its hash is of a kind of crypt that is not known here"},
		{8, "frank", "", "it has no password"},
		{9, "twice", "", "the name is in line 10, too, and programs differ in which they take"},
		{10, "twice", "", "the name is in line 9, too, and programs differ in which they take"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Read(…) (-want +got):\n%s", diff)
	}
}

func TestReadRefuses(t *testing.T) {
	for _, text := range []string{"alice", ":hash", "alice:x\nplanted", strings.Repeat("a", 5000) + ":x"} {
		got, err := Read(strings.NewReader(text))
		if !errors.Is(err, ErrFile) || strings.Contains(err.Error(), "planted") {
			t.Errorf("Read(%.20q) = %v, %v, want ErrFile without what stands there", text, got, err)
		}
	}
}

// A line is taken over or has a problem, never both, and a problem repeats
// nothing of the hash.
func FuzzRead(f *testing.F) {
	f.Add("alice:" + bcryptHash + "\nalice:{SHA}x\nbob:$2y$")
	f.Add("a:b:c\n#\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		lines, err := Read(strings.NewReader(text))
		if err != nil {
			return
		}
		names := map[string]int{}
		for _, l := range lines {
			if (l.Hash == "") == (l.Problem == "") || l.Hash != "" && !strings.HasPrefix(l.Hash, "$2") {
				t.Errorf("Read(%q): got %+v", text, l)
			}
			if names[l.Name]++; names[l.Name] > 1 && l.Hash != "" {
				t.Errorf("Read(%q): %q is taken over twice", text, l.Name)
			}
		}
	})
}
