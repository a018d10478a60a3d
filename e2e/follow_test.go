//go:build e2e && linux

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// block is a fenced block of code of a page.
type block struct {
	section    string // the heading of the second level that it stands below
	kind, text string
	follows    bool // there is nothing between it and the one before
}

// title is the first line of a block, by which the tests name it.
func (b block) title() string {
	first, _, _ := strings.Cut(b.text, "\n")
	return first
}

// blocks reads the blocks of a page, all of them or of one kind.
func blocks(t *testing.T, page, kind string) []block {
	t.Helper()
	var found []block
	section := ""
	parts := strings.Split("\n"+readFile(t, filepath.Join(root, page)), "\n```")
	for i := 1; i+1 < len(parts); i += 2 { // text and code take turns
		for line := range strings.Lines(parts[i-1]) {
			if heading, ok := strings.CutPrefix(line, "## "); ok {
				section = strings.TrimSpace(heading)
			}
		}
		name, text, _ := strings.Cut(parts[i], "\n")
		if kind == "" || name == kind {
			found = append(found, block{section, name, text + "\n", i > 1 && strings.TrimSpace(parts[i-1]) == ""})
		}
	}
	return found
}

// follower is a reader who does what a page says: in a shell at a terminal, in
// a home and an /etc of their own.
type follower struct {
	t        *testing.T
	home     string
	on       *port
	places   []string // pairs: what stands on the page, and what is meant by it here
	programs map[string]string

	script string
	want   []string // what each part of the script prints; "": whatever it does
	got    string
}

func newFollower(t *testing.T) *follower {
	t.Helper()
	f := &follower{t: t, home: t.TempDir(), on: reserve(t), programs: map[string]string{"latchkey": program(t)}}
	f.places = []string{pageOrigin, "http://" + f.on.address}
	for _, name := range []string{"/etc/", "/var/", "/usr/local/bin/"} {
		must(t, os.MkdirAll(filepath.Join(f.home, name), 0o700))
		f.means(" "+name, " "+f.home+name, "="+name, "="+f.home+name)
	}
	return f
}

// means says what is meant by what stands on the page: pairs, of which the
// first that fits counts.
func (f *follower) means(pairs ...string) { f.places = append(pairs, f.places...) }

func (f *follower) here(text string) string { return strings.NewReplacer(f.places...).Replace(text) }

// install puts a program into the follower's PATH.
func (f *follower) install(name, path string) { f.programs[name] = path }

// terminals gives each server of a page a terminal of its own: it goes on
// behind, and the reader waits until it is ready. To start it again is to stop
// it before. Nobody but this server is sent signals.
const terminals = `
latchkey() {
  if [ "${1-}" != serve ]; then command latchkey "$@"; return; fi
  stop_server
  LATCHKEY_ADMIN_PASSWORD='` + adminPassword + `' command latchkey "$@" >>"$HOME/server.log" 2>&1 &
  SERVER=$!
  until curl -fs "$ORIGIN/latchkey/readyz" >/dev/null; do
    kill -0 "$SERVER" 2>/dev/null || { cat "$HOME/server.log" >&2; return 1; }
    sleep 0.1
  done
}
stop_server() {
  if [ -z "${SERVER-}" ]; then return; fi
  kill "$SERVER"
  wait "$SERVER"
  SERVER=
}
pidof() { echo "$SERVER"; }
`

// collect makes a script of the blocks that can be run, with what a test adds
// before those whose first line begins in a certain way.
func (f *follower) collect(all []block, before map[string]string) {
	for i, b := range all {
		if b.kind != "bash" {
			continue
		}
		for start, script := range before {
			if strings.HasPrefix(b.text, start) {
				f.add(f.here(script))
			}
		}
		want := ""
		if i+1 < len(all) && all[i+1].kind == "text" && all[i+1].follows {
			want = f.here(all[i+1].text)
		}
		f.script += f.here(b.text) + "echo '" + strings.TrimSpace(endOfPart) + "'\n"
		f.want = append(f.want, want)
	}
}

// add adds to the script what is not on the page.
func (f *follower) add(script string) {
	if script != "" {
		f.script += "{\n" + script + "\n} >/dev/null\n"
	}
}

// endOfPart is between what the parts of the script print.
const endOfPart = "----- end of part -----\n"

// pageLimit bounds the time in which a page can be followed.
const pageLimit = time.Minute

// typed is what is typed when something is asked for.
type typed struct{ prompt, answer string }

// run runs the script with what it prints in a file. A command that fails ends
// it. Servers are stopped at the end and must not have failed.
func (f *follower) run(keys []typed) {
	t := f.t
	t.Helper()
	bin := filepath.Join(f.home, "bin")
	must(t, os.Mkdir(bin, 0o700))
	for name, path := range f.programs {
		must(t, os.Symlink(path, filepath.Join(bin, name)))
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	must(t, err)
	defer out.Close()
	f.on.release()
	shell := atTerminal(t, command{
		path: "/bin/bash", args: []string{"-euo", "pipefail", "-c", terminals + f.script + "stop_server\n"}, dir: f.home,
		env: []string{
			"HOME=" + f.home, "PATH=" + bin + ":" + os.Getenv("PATH") + ":/usr/sbin", "TERM=xterm",
			"ORIGIN=http://" + f.on.address, "LATCHKEY_LISTEN=" + f.on.address,
		},
	}, out)
	defer func() {
		if t.Failed() {
			t.Logf("at the terminal:\n%s\nprinted:\n%s", shell.text(), readFile(t, out.Name()))
		}
	}()
	for _, k := range keys {
		shell.look(regexp.QuoteMeta(k.prompt))
		shell.press(k.answer + "\r")
	}
	if err := shell.waitFor(pageLimit); err != nil {
		t.Errorf("following the page: %v", err)
	}
	f.got = readFile(t, out.Name())
}

// check compares what was printed with what the page says, and looks for
// passwords where none may be.
func (f *follower) check(passwords ...string) {
	f.t.Helper()
	got := strings.Split(f.got, endOfPart)
	for i, want := range f.want {
		if want == "" || i >= len(got) {
			continue
		}
		lines := strings.Split(strings.TrimSpace(regexp.QuoteMeta(want)), "\n") // not every answer ends its last line
		pattern := strings.ReplaceAll(strings.Join(lines, `\s*`), "…", "(?s:.*)")
		if !regexp.MustCompile(`\A` + pattern + `\z`).MatchString(strings.TrimSpace(got[i])) {
			f.t.Errorf("part %d of the page prints\n%s\nwant\n%s", i+1, got[i], want)
		}
	}
	kept := &latchkey{t: f.t}
	kept.hide(adminPassword)
	kept.hide(passwords...)
	kept.keptSecretsIn(filepath.Join(f.home, "latchkey-data"))
	kept.keptSecrets("the server's log", []byte(readFile(f.t, filepath.Join(f.home, "server.log"))))
}
