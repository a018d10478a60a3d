//go:build e2e && linux

package e2e

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/pgtest/proctest"
)

// answer is what curl got.
type answer struct {
	exit   int // of curl; 0: it got a whole answer
	status int // 0: none
	header http.Header
	body   string
	said   string // by curl, when it failed
	took   time.Duration
}

// curl runs the real curl with a few arguments, and returns what it got,
// whatever that is.
func curl(t *testing.T, args ...string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	path, err := exec.LookPath("curl")
	if err != nil {
		proctest.Missing(t, "curl; on Debian: apt-get install curl")
	}
	folder := t.TempDir()
	head, body := filepath.Join(folder, "head"), filepath.Join(folder, "body")
	began := time.Now()
	_, stderr, err := proctest.Run(ctx, proctest.Spec{
		Name: "curl", Path: path, Env: []string{"HOME=" + folder},
		Args: append([]string{"--disable", "--silent", "--show-error", "--dump-header", head, "--output", body}, args...),
	})
	a := answer{said: strings.TrimSpace(stderr), took: time.Since(began)}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		a.exit = exit.ExitCode()
	case err != nil:
		t.Fatalf("curl: %v", err)
	}
	a.readHead(t, head)
	if content, err := os.ReadFile(body); err == nil { // without a body there is no file
		a.body = string(content)
	}
	return a
}

// readHead reads the last of the heads that curl wrote down: those before it
// are interim answers.
func (a *answer) readHead(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil || len(content) == 0 {
		return
	}
	heads := slices.DeleteFunc(strings.Split(string(content), "\r\n\r\n"), func(s string) bool { return s == "" })
	line, fields, _ := strings.Cut(heads[len(heads)-1], "\r\n")
	_, status, _ := strings.Cut(line, " ")
	code, _, _ := strings.Cut(status, " ")
	if a.status, err = strconv.Atoi(code); err != nil {
		t.Fatalf("curl: the answer begins with %q", line)
	}
	header, err := textproto.NewReader(bufio.NewReader(strings.NewReader(fields + "\r\n\r\n"))).ReadMIMEHeader()
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatalf("curl: the head of the answer is %q: %v", heads, err)
	}
	a.header = http.Header(header)
}

// want checks the status and a part of the body.
func (a answer) want(t *testing.T, what string, status int, inBody string) {
	t.Helper()
	if a.exit != 0 || a.status != status || !strings.Contains(a.body, inBody) {
		t.Errorf("%s = %d %.300q (curl: %d %s), want %d and %q", what, a.status, a.body, a.exit, a.said, status, inBody)
	}
}

// wantChallenge checks that an answer asks for a credential in a way that
// clients understand.
func (a answer) wantChallenge(t *testing.T, what string) {
	t.Helper()
	challenges := strings.Join(a.header.Values("WWW-Authenticate"), ", ")
	if a.status != http.StatusUnauthorized || !strings.Contains(challenges, `Basic realm="`) || !strings.Contains(challenges, `Bearer realm="`) {
		t.Errorf("%s = %d with the challenges %q, want 401 with Basic and Bearer", what, a.status, challenges)
	}
}

// credential is one way to send a token with curl.
type credential struct {
	name string
	args []string
}

// ways lists the ways in which a token can be sent.
func ways(token string) []credential {
	return []credential{
		{"Bearer", bearer(token)},
		{"Token", []string{"--header", "Authorization: Token " + token}},
		{"Basic", []string{"--user", "anything:" + token}},
	}
}

func bearer(token string) []string { return []string{"--header", "Authorization: Bearer " + token} }

// with puts arguments behind others in a new slice.
func with(args []string, more ...string) []string { return append(slices.Clone(args), more...) }
