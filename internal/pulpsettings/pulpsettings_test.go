package pulpsettings

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPage holds docs/pulp.md to what is written.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/pulp.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "\n```python\n")
	want, _, closed := strings.Cut(rest, "```\n")
	if !found || !closed {
		t.Fatal("docs/pulp.md has no block of Python")
	}
	var b strings.Builder
	if err := Write(&b, Options{}); err != nil {
		t.Fatalf("Write() = %v", err)
	}
	var got strings.Builder
	for line := range strings.Lines(b.String()) {
		if !strings.HasPrefix(line, "#") {
			got.WriteString(line)
		}
	}
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("Write(), without comments, is not what docs/pulp.md shows (-page +written):\n%s", diff)
	}
}

func TestWrite(t *testing.T) {
	tests := []struct {
		name string
		o    Options
		want []string
		not  []string
	}{
		{"defaults", Options{}, []string{`REMOTE_USER_ENVIRON_NAME = "HTTP_LATCHKEYUSER"`, `CONTENT_ORIGIN = "http://127.0.0.1:8080"`}, []string{"TOKEN_SERVER", "ANSIBLE", "PYPI"}},
		{"header", Options{Header: "Who1"}, []string{`REMOTE_USER_ENVIRON_NAME = "HTTP_WHO1"`, "header Who1."}, nil},
		{"origin", Options{Origin: "https://pulp.example.com:8443"}, []string{`CONTENT_ORIGIN = "https://pulp.example.com:8443"`}, nil},
		{"plugins", Options{Origin: "https://p.example.com", Plugins: []string{"container", "ansible", "python"}}, []string{
			`TOKEN_SERVER = "https://p.example.com/token/"`, `ANSIBLE_API_HOSTNAME = "https://p.example.com"`, `PYPI_API_HOSTNAME = "https://p.example.com"`,
		}, nil},
	}
	for _, tt := range tests {
		var b strings.Builder
		if err := Write(&b, tt.o); err != nil {
			t.Errorf("%s: Write(%+v) = %v", tt.name, tt.o, err)
		}
		for _, want := range tt.want {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%s: Write(%+v) lacks %q:\n%s", tt.name, tt.o, want, b.String())
			}
		}
		for _, not := range tt.not {
			if strings.Contains(b.String(), not) {
				t.Errorf("%s: Write(%+v) has %q:\n%s", tt.name, tt.o, not, b.String())
			}
		}
	}
}

// What cannot stand in Python between quotes, or means different things to
// Pulp's two servers, is refused.
func TestWriteRefuses(t *testing.T) {
	for _, tt := range []struct {
		o    Options
		want error
	}{
		{Options{Header: "Latchkey-User"}, ErrHeader},
		{Options{Header: "Latchkey_User"}, ErrHeader},
		{Options{Header: `X"`}, ErrHeader},
		{Options{Header: "X\n"}, ErrHeader},
		{Options{Origin: "pulp.example.com"}, ErrOrigin},
		{Options{Origin: "https://pulp.example.com/"}, ErrOrigin},
		{Options{Origin: "https://pulp.example.com/pulp"}, ErrOrigin},
		{Options{Origin: "https://a:b@pulp.example.com"}, ErrOrigin},
		{Options{Origin: `https://pulp"+x`}, ErrOrigin},
		{Options{Origin: "ftp://pulp.example.com"}, ErrOrigin},
		{Options{Plugins: []string{"rpm"}}, ErrPlugin},
	} {
		var b strings.Builder
		if err := Write(&b, tt.o); !errors.Is(err, tt.want) || b.Len() > 0 {
			t.Errorf("Write(%+v) = %v and %d bytes, want %v and none", tt.o, err, b.Len(), tt.want)
		}
	}
}
