//go:build e2e && linux

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/pgtest/proctest"
)

// verifier is what a service in Python does with tokens that it gets, one a
// line.
const verifier = `
import json, sys
for line in sys.stdin:
    try:
        print(json.dumps(who_is_asking(line.rstrip("\n"))))
    except Exception as e:
        print(json.dumps({"refused": type(e).__name__, "known": isinstance(e, jwt.PyJWTError)}))
`

// TestJWTInPython has PyJWT, by the code of docs/jwt.md, verify real access
// tokens, by the key that signs and by the next after a withdrawal, and what it
// must not take.
// S52, S58
func TestJWTInPython(t *testing.T) {
	python := pythonWithPyJWT(t)
	s := serve(t, serveOptions{config: "tokens: {audiences: [elsewhere]}\n"})
	pair := func(r api.CreateTokenPair) string {
		t.Helper()
		r.Name = "python"
		made, err := s.admin().Tokens.CreatePair(t.Context(), r)
		must(t, err)
		s.hide(made.AccessToken)
		return made.AccessToken
	}
	old, other := pair(api.CreateTokenPair{}), pair(api.CreateTokenPair{Audience: []string{"elsewhere"}})
	keys, err := s.admin().Keys.List(t.Context())
	must(t, err)
	_, err = s.admin().Keys.Revoke(t.Context(), keys[0].ID, "test")
	must(t, err)
	good := pair(api.CreateTokenPair{ClientID: "the app", Scope: []string{"path:/reports/*:read"}})
	parts, before := strings.Split(good, "."), strings.Split(old, ".")
	tokens := []string{
		good, old, other, "forged", "", parts[0] + "." + parts[1] + ".", parts[0] + "." + before[1] + "." + parts[2],
		s.token(t, s.admin(), api.CreateToken{}).Secret,
	}
	answers := verified(t, python, s.url, tokens)
	if a := answers[0]; a["client_id"] != "the app" || a["scope"] != "path:/reports/*:read" || a["iss"] != s.url || a["sub"] == "" {
		t.Errorf("the service takes the token for %v, want one of the app", a)
	}
	for i, a := range answers[1:] {
		if a["refused"] == nil || a["known"] != true {
			t.Errorf("token %d: the service takes what it must not, or breaks: %v", i+1, a)
		}
	}
}

// verified runs the code of the page on some tokens.
func verified(t *testing.T, python, base string, tokens []string) []map[string]any {
	t.Helper()
	code := blocks(t, "docs/jwt.md", "python")
	if len(code) != 1 || !strings.Contains(code[0].text, pageOrigin) {
		t.Fatalf("docs/jwt.md has %d blocks of Python, want one for %s", len(code), pageOrigin)
	}
	file := filepath.Join(t.TempDir(), "service.py")
	must(t, os.WriteFile(file, []byte(strings.ReplaceAll(code[0].text, pageOrigin, base)+verifier), 0o600))
	out, _, err := proctest.Run(t.Context(), proctest.Spec{
		Name: "the service in Python", Path: python, Args: []string{file}, Stdin: strings.NewReader(strings.Join(tokens, "\n") + "\n"),
	})
	must(t, err)
	var answers []map[string]any
	for line := range strings.Lines(out) {
		var a map[string]any
		must(t, json.Unmarshal([]byte(line), &a))
		answers = append(answers, a)
	}
	if len(answers) != len(tokens) {
		t.Fatalf("the service gives %d answers to %d tokens:\n%s", len(answers), len(tokens), out)
	}
	return answers
}
