//go:build e2e && linux

package e2e

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/client"
	"github.com/latchkey-auth/latchkey/internal/pgtest/proctest"
)

// firstCommand is what the README tells a newcomer to run.
const firstCommand = "go run ./cmd/latchkey serve"

// TestNewcomer does what the README says, in a fresh clone, with nothing set
// up: runs the server, pastes the three lines that it prints, stops it, and
// does it again the next day.
func TestNewcomer(t *testing.T) {
	if !strings.Contains(readFile(t, filepath.Join(root, "README.md")), "\n"+firstCommand+"\n") {
		t.Fatalf("the README does not say %q any more", firstCommand)
	}
	n := newcomer{t: t, clone: clone(t), on: reserve(t)}
	n.on.release()

	server := n.runServer()
	password := strings.TrimSpace(server.look(`[a-z2-9]{6}(-[a-z2-9]{6}){3}\r\n`))
	n.tryLines(server, "")
	n.checkModes()
	n.tryAgain()
	n.stop(server)

	server = n.runServer()
	n.tryLines(server, password)
	n.stop(server)
	if strings.Contains(server.text(), password) {
		t.Error("the second start prints the administrator's password, want it printed once only")
	}
}

// newcomer is somebody with a clone and two terminals.
type newcomer struct {
	t     *testing.T
	clone string
	on    *port
}

// env is a new account's environment, but for where Go keeps what it has
// downloaded and built, and a port that is free on the machine of the test.
func (n *newcomer) env() []string {
	env := []string{"HOME=" + n.t.TempDir(), "TERM=xterm", "PS1=$ ", "LATCHKEY_LISTEN=" + n.on.address}
	for _, name := range []string{"GOMODCACHE", "GOCACHE", "GOPROXY", "GOFLAGS", "GONOSUMDB", "GOTOOLCHAIN"} {
		out, err := exec.Command("go", "env", name).Output()
		must(n.t, err)
		env = append(env, name+"="+strings.TrimSpace(string(out)))
	}
	return env
}

// clone clones the last commit of the repository, as a stranger gets it.
func clone(t *testing.T) string {
	t.Helper()
	git, err := exec.LookPath("git")
	if err != nil {
		proctest.Missing(t, "git; on Debian: apt-get install git")
	}
	from, err := filepath.Abs(root)
	must(t, err)
	if _, err := os.Stat(filepath.Join(from, ".git")); errors.Is(err, fs.ErrNotExist) {
		t.Skip("these sources are no git repository, so there is nothing to clone")
	}
	to := filepath.Join(t.TempDir(), "latchkey")
	_, _, err = proctest.Run(t.Context(), proctest.Spec{
		Name: "git", Path: git, Args: []string{"clone", "--quiet", "--no-hardlinks", from, to},
		Env: []string{ // the checkout may belong to somebody else than the user of the test
			"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(),
			"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
		},
	})
	must(t, err)
	return to
}

// runServer runs the README's command at a terminal.
func (n *newcomer) runServer() *terminal {
	n.t.Helper()
	server := atTerminal(n.t, command{path: "/bin/bash", args: []string{"-c", "exec " + firstCommand}, dir: n.clone, env: n.env()}, nil)
	server.look(`Latchkey is at http://` + regexp.QuoteMeta(n.on.address) + `\r\n`)
	return server
}

// tryLines pastes the three lines into a shell at another terminal, and gives
// the password when it is asked for.
func (n *newcomer) tryLines(server *terminal, password string) {
	n.t.Helper()
	server.look(`Three lines to try`)
	lines := strings.Fields(strings.ReplaceAll(server.look(`(?s)    TOKEN=.*?\r\n\r\n`), " ", "\x00"))
	if len(lines) != 3 {
		n.t.Fatalf("the server prints %d lines to try, want three:\n%s", len(lines), server.text())
	}
	shell := atTerminal(n.t, command{path: "/bin/bash", args: []string{"--norc", "--noprofile", "-i"}, dir: n.t.TempDir(), env: n.env()}, nil)
	shell.look(`\$ `)
	shell.paste(strings.ReplaceAll(strings.Join(lines, "\n"), "\x00", " "))
	if password != "" {
		shell.look(`password for user 'admin':`)
		shell.press(password + "\r")
	}
	shell.look(`HTTP/1\.1 200 OK`) // curl prints the names of headers in bold
	shell.look(`Latchkeyscope\S*: \*:\*:\*`)
	shell.look(`Latchkeyuser\S*: admin`)
	shell.look(`\{"items":\[\{"id":"tok_[0-9A-Za-z]+","name":"first",.*"last_used":\{"at":"`)
	shell.press("exit\r")
	must(n.t, shell.wait())
}

// checkModes looks at who can read what the server keeps.
func (n *newcomer) checkModes() {
	n.t.Helper()
	found := map[string]fs.FileMode{}
	data := filepath.Join(n.clone, "latchkey-data")
	must(n.t, filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		found[d.Name()] = info.Mode().Perm()
		return err
	}))
	if len(found) < 3 {
		n.t.Errorf("the data folder has %v, want the key and the database in it", found)
	}
	for name, mode := range found {
		want := fs.FileMode(0o600)
		if name == "latchkey-data" {
			want = 0o700
		}
		if mode != want {
			n.t.Errorf("the mode of %s is %04o, want %04o", name, mode, want)
		}
	}
}

// tryAgain starts a second server beside the first.
func (n *newcomer) tryAgain() {
	n.t.Helper()
	fails(n.t, n.clone, []string{"LATCHKEY_LISTEN=" + n.on.address}, "listen tcp "+n.on.address+": bind: address already in use")
}

// stop presses Ctrl-C. At that the go command ends with status 1, however the
// program did; it says so when that failed.
func (n *newcomer) stop(server *terminal) {
	n.t.Helper()
	server.press(ctrlC)
	_ = server.wait()
	server.look(`stopping`)
	wantCleanEnd(n.t, server)
}

func wantCleanEnd(t *testing.T, server *terminal) {
	t.Helper()
	text := server.text()
	for _, bad := range []string{"exit status", "panic", "level=ERROR", "latchkey: "} {
		if strings.Contains(text, bad) {
			t.Errorf("there is %q in what the server says until its end:\n%s", bad, text)
		}
	}
}

// TestCtrlC stops the program itself as somebody at a terminal does.
func TestCtrlC(t *testing.T) {
	on, home := reserve(t), t.TempDir()
	on.release()
	server := atTerminal(t, command{
		path: program(t), args: []string{"serve", "--listen", on.address}, dir: home, env: []string{"HOME=" + home},
	}, nil)
	server.look(`Three lines to try`)
	c, err := client.New("http://"+on.address, client.Options{})
	must(t, err)
	within(t, 30*time.Second, "the server to be ready", c.Ready)
	server.press(ctrlC)
	if err := server.wait(); err != nil {
		t.Errorf("latchkey serve after Ctrl-C: %v, want exit status 0", err)
	}
	server.look(`stopping`)
	wantCleanEnd(t, server)
}

// fails runs `latchkey serve`, which has to refuse to start and to say why in
// one line.
func fails(t *testing.T, dir string, env []string, why string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stdout, stderr, err := proctest.Run(ctx, proctest.Spec{
		Name: "latchkey serve", Path: program(t), Args: []string{"serve"}, Dir: dir,
		Env: append([]string{"HOME=" + dir, "LATCHKEY_ADMIN_PASSWORD=" + adminPassword}, env...),
	})
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || stdout != "" {
		t.Errorf("latchkey serve = %v, want exit status 1 and nothing printed, not %q", err, stdout)
	}
	first, _, _ := strings.Cut(stderr, "\n")
	if !strings.HasPrefix(first, "latchkey: ") || !strings.Contains(first, why) {
		t.Errorf("latchkey serve says %q, want %q at once", stderr, why)
	}
}

// TestForeignKey puts the key of one server in the place of another's. No token
// would be known, so the server must not start, and lose nothing by that.
func TestForeignKey(t *testing.T) {
	one, two := serve(t, serveOptions{}), serve(t, serveOptions{})
	secret := one.token(t, one.admin(), reading("latchkey:*:read")).Secret
	must(t, one.process.terminate())
	must(t, two.process.terminate())

	key, kept := filepath.Join(one.home, "latchkey-data", "server.key"), filepath.Join(t.TempDir(), "server.key")
	must(t, os.Rename(key, kept))
	other, err := os.ReadFile(filepath.Join(two.home, "latchkey-data", "server.key"))
	must(t, err)
	must(t, os.WriteFile(key, other, 0o600))
	on := reserve(t)
	on.release()
	fails(t, one.home, []string{"LATCHKEY_LISTEN=" + on.address}, "the server secret does not belong to this database")

	must(t, os.Remove(key))
	must(t, os.Rename(kept, key))
	again := start(t, command{path: program(t), args: []string{"serve", "--listen", on.address}, dir: one.home, env: []string{"HOME=" + one.home}})
	c, err := client.New("http://"+on.address, client.Options{Token: secret})
	must(t, err)
	within(t, 30*time.Second, "the server with its own key", c.Ready)
	if me, err := c.WhoAmI(t.Context()); err != nil || me.Account != "admin" {
		t.Errorf("WhoAmI() with a token from before = %+v, %v; want admin", me, err)
	}
	must(t, again.terminate())
}
