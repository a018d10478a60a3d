package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode"
)

func FuzzPrintable(f *testing.F) {
	for _, seed := range []string{"plain", "\x1b[31m", "a\u202eb", "\xff\xfe", "ünïcode", "tab\t", "\u009b", "\U000e0041"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := printable(text)
		for _, r := range got {
			if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
				t.Errorf("printable(%q): got %U in %q", text, r, got)
			}
		}
		if printable(got) != got {
			t.Errorf("printable(%q) is not stable", text)
		}
	})
}

func FuzzPrintJSON(f *testing.F) {
	f.Add("\x1b[31m\u009b\x7f<&>\"")
	f.Fuzz(func(t *testing.T, text string) {
		var out bytes.Buffer
		env := &environment{stdout: &out}
		if err := env.printJSON([]string{text}); err != nil {
			t.Fatal(err)
		}
		var back []string
		if err := json.Unmarshal(out.Bytes(), &back); err != nil {
			t.Fatalf("printJSON(%q): %v", text, err)
		}
		if want := strings.ToValidUTF8(text, "\ufffd"); back[0] != want && !strings.Contains(text, "\xff") && strings.ToValidUTF8(text, "") == text {
			t.Errorf("printJSON(%q): got %q back, want %q", text, back[0], want)
		}
		if strings.ContainsFunc(out.String(), func(r rune) bool { return r != '\n' && unicode.IsControl(r) }) {
			t.Errorf("printJSON(%q): got control characters in %q", text, out.String())
		}
	})
}

func TestSecretLines(t *testing.T) {
	for _, tt := range []struct {
		stdin string
		n     int
		want  string // "": refused
	}{
		{"one\n", 1, "one"},
		{"one", 1, "one"},
		{"one\r\n", 1, "one"},
		{" with blanks \n", 1, " with blanks "},
		{"one\ntwo\n", 2, "one two"},
		{"", 1, ""},
		{"\n", 1, ""},
		{"one\n\n", 2, ""},
		{"one\ntwo\n", 1, ""},
		{strings.Repeat("x", 70<<10), 1, ""},
	} {
		env := &environment{stdin: strings.NewReader(tt.stdin)}
		lines, err := env.secretLines(t.Context(), tt.n)
		if got := strings.Join(lines, " "); got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("secretLines of %.20q: got %q, %v; want %q", tt.stdin, got, err, tt.want)
		}
	}
}

func TestReadLineLeavesTheRest(t *testing.T) {
	in := strings.NewReader("first\nsecond")
	for _, want := range []string{"first", "second"} {
		if got, err := readLine(in); got != want || err != nil {
			t.Errorf("readLine: got %q, %v; want %q", got, err, want)
		}
	}
	if got, err := readLine(in); !errors.Is(err, io.EOF) {
		t.Errorf("readLine at the end: got %q, %v; want EOF", got, err)
	}
	if _, err := readLine(strings.NewReader(strings.Repeat("x", 5000))); err == nil {
		t.Error("readLine of a long line: got no error")
	}
}
