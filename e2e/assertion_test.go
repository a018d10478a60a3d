//go:build e2e && linux

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/pgtest/proctest"
)

// assertionPage has the code for services that is run here as it stands there.
const assertionPage = "docs/assertion.md"

// judge is what a service in Python does with headers that it gets, one a line.
const judge = `
import json, sys
for line in sys.stdin:
    try:
        claims = who_is_asking(line.rstrip("\n"))
        print(json.dumps({"name": claims["name"], "sub": claims["sub"], "aud": claims["aud"], "life": claims["exp"] - claims["iat"]}))
    except Exception as e:
        print(json.dumps({"refused": type(e).__name__, "known": isinstance(e, jwt.PyJWTError)}))
`

// TestAssertionInPython has PyJWT, by the code of the page, verify what the
// gateway sends to a service: the real one, before and after a rotation of
// keys, and what it must not take.
// S92, S58
func TestAssertionInPython(t *testing.T) {
	python := pythonWithPyJWT(t)
	got := make(chan string, 10)
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header.Get("Latchkey-Assertion") }))
	t.Cleanup(service.Close)
	const audience = "https://files.example.org"
	s := serve(t, serveOptions{config: fmt.Sprintf(
		"keys: {publish_before: 10s, max_age: 1s}\nroutes:\n  - {prefix: /files, upstream: %q, assertion_audience: %q}\n  - {prefix: /shop, upstream: %q, assertion_audience: https://shop.example.org}\n",
		service.URL, audience, service.URL)})
	made := s.token(t, s.admin(), api.CreateToken{})
	ask := func(path string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+made.Secret)
		req.Header.Set("Latchkey-Assertion", "forged")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Fatalf("GET %s = %d, want 200", path, res.StatusCode)
		}
		return <-got
	}
	first, other := ask("/files/x"), ask("/shop/x")
	keys, err := s.admin().Keys.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.admin().Keys.Revoke(t.Context(), keys[0].ID, "test"); err != nil {
		t.Fatal(err)
	}
	second := ask("/files/x")
	parts := strings.Split(second, ".")
	answers := judged(t, python, s.url, []string{
		second, first, other, "forged", "", parts[0] + "." + parts[1] + ".", strings.Join(strings.Split(first, ".")[:2], ".") + "." + parts[2], made.Secret,
	})
	if a := answers[0]; a["name"] != "admin" || a["aud"] != audience || a["life"] != 60.0 || a["sub"] == "" {
		t.Errorf("the service takes the proof for %v, want one of admin for a minute", a)
	}
	for i, a := range answers[1:] {
		if a["refused"] == nil || a["known"] != true {
			t.Errorf("answer %d: the service takes what it must not, or breaks: %v", i+1, a)
		}
	}
	s.hide(made.Secret)
}

// judged runs the page's code on some headers.
func judged(t *testing.T, python, base string, headers []string) []map[string]any {
	t.Helper()
	_, code, found := strings.Cut(readFile(t, filepath.Join(root, assertionPage)), "```python\n")
	code, _, closed := strings.Cut(code, "```")
	if !found || !closed || !strings.Contains(code, pageOrigin) {
		t.Fatalf("%s has no code in Python for %s", assertionPage, pageOrigin)
	}
	file := filepath.Join(t.TempDir(), "service.py")
	must(t, os.WriteFile(file, []byte(strings.ReplaceAll(code, pageOrigin, base)+judge), 0o600))
	out, _, err := proctest.Run(t.Context(), proctest.Spec{
		Name: "the service in Python", Path: python, Args: []string{file}, Stdin: strings.NewReader(strings.Join(headers, "\n") + "\n"),
	})
	must(t, err)
	var answers []map[string]any
	for line := range strings.Lines(out) {
		var a map[string]any
		must(t, json.Unmarshal([]byte(line), &a))
		answers = append(answers, a)
	}
	if len(answers) != len(headers) {
		t.Fatalf("the service gives %d answers to %d headers:\n%s", len(answers), len(headers), out)
	}
	return answers
}

// pythonWithPyJWT returns an interpreter that has PyJWT: that of the Pulp that
// the tests install, which needs it.
func pythonWithPyJWT(t *testing.T) string {
	t.Helper()
	folder, stderr, err := proctest.Run(t.Context(), proctest.Spec{Name: "pulp-venv.sh", Path: filepath.Join(root, "scripts", "pulp-venv.sh"), Env: os.Environ()})
	if err != nil {
		text := fmt.Sprintf("PyJWT cannot be installed: %v\n%s", err, stderr)
		if os.Getenv("CI") == "true" {
			t.Fatal(text)
		}
		t.Skip(text)
	}
	return filepath.Join(strings.TrimSpace(folder), "pulp", "bin", "python")
}
