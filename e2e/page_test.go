//go:build e2e && linux

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/pgtest/proctest"
)

// page is docs/pulp.md, which an operator follows to the letter. What it says
// at its beginning about its blocks of code is done here.
const page = "docs/pulp.md"

// pageOrigin is where the page has the gateway.
const pageOrigin = "http://127.0.0.1:8080"

// block is a fenced block of code of a page.
type block struct {
	kind, text string
	follows    bool // there is nothing between it and the one before
}

// blocks reads the blocks of a page, all of them or of one kind.
func blocks(t *testing.T, kind string) []block {
	t.Helper()
	var found []block
	parts := strings.Split("\n"+readFile(t, filepath.Join(root, page)), "\n```")
	for i := 1; i+1 < len(parts); i += 2 { // text and code take turns
		name, text, _ := strings.Cut(parts[i], "\n")
		if kind == "" || name == kind {
			found = append(found, block{name, text + "\n", i > 1 && strings.TrimSpace(parts[i-1]) == ""})
		}
	}
	if len(found) == 0 {
		t.Fatalf("%s has no block of code of the kind %q", page, kind)
	}
	return found
}

// theBlock is the only one of its kind.
func theBlock(t *testing.T, kind string) string {
	t.Helper()
	found := blocks(t, kind)
	if len(found) != 1 {
		t.Fatalf("%s has %d blocks of the kind %s, want one", page, len(found), kind)
	}
	return found[0].text
}

// settingsOfPage is what the page adds to the settings of a Pulp that has its
// defaults.
func settingsOfPage(t *testing.T, origin string) string {
	t.Helper()
	const defaults = `
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend", "pulpcore.backends.ObjectRolePermissionBackend",
]
REST_FRAMEWORK__DEFAULT_AUTHENTICATION_CLASSES = (
    "pulpcore.app.authentication.BasicAuthentication", "rest_framework.authentication.SessionAuthentication",
)
REMOTE_USER_ENVIRON_NAME = "REMOTE_USER"
CONTENT_ORIGIN = None
`
	return defaults + printedSettings(t, origin)
}

// printedSettings is what the page's command prints, of which it says that it
// goes into Pulp's settings.
func printedSettings(t *testing.T, origin string) string {
	t.Helper()
	for _, b := range blocks(t, "sh") {
		rest, found := strings.CutPrefix(b.text, "latchkey ")
		args, _, redirected := strings.Cut(rest, " >> /etc/pulp/settings.py\n")
		if !found || !redirected {
			continue
		}
		stdout, _, err := proctest.Run(t.Context(), proctest.Spec{
			Name: "latchkey pulp settings", Path: program(t), Args: strings.Fields(strings.ReplaceAll(args, pageOrigin, origin)),
		})
		must(t, err)
		return stdout
	}
	t.Fatalf("%s says nowhere how to print Pulp's settings", page)
	return ""
}

// testPage runs the page's commands.
func testPage(t *testing.T, b *behind) {
	on := reserve(t)
	f := &follower{t: t, home: t.TempDir(), places: strings.NewReplacer(
		pageOrigin, "http://"+on.address,
		"http://127.0.0.1:24817", b.pulp.APIURL, "http://127.0.0.1:24816", b.pulp.ContentURL,
	)}
	f.collect(blocks(t, ""))
	s := serve(t, serveOptions{on: on, args: f.serve})
	s.hide(b.pulp.AdminPassword, alicesPassword)
	f.run(t, b, []typed{
		{"Password of admin:", b.pulp.AdminPassword}, // latchkey login
		{"Password of alice:", alicesPassword},       // latchkey token create laptop
		{"Password of admin:", adminPassword},        // latchkey robot create
		{"Password of admin:", adminPassword},        // latchkey token create nightly
		{"Password of admin:", adminPassword},        // latchkey user revoke-tokens
		{"End all tokens of user alice?", "y"},
	})
	f.check(t)
}

// alicesPassword is what the page has alice choose.
const alicesPassword = "a horse and a staple"

// follower is an operator who follows the page.
type follower struct {
	t      *testing.T
	home   string
	places *strings.Replacer // from those of the page to the real ones

	serve  []string // the arguments of the server
	script string
	want   []string // what each part of the script prints; "": whatever it does
	got    string
}

// collect makes a script of the blocks. A block that starts the server is left
// out of it: that goes on in another terminal.
func (f *follower) collect(all []block) {
	const serve = "latchkey serve "
	for i, b := range all {
		text := f.places.Replace(b.text)
		switch args, isServer := strings.CutPrefix(text, serve); {
		case b.kind != "bash":
			continue
		case isServer:
			f.serve = strings.Fields(args)
		}
		want := ""
		if i+1 < len(all) && all[i+1].kind == "text" && all[i+1].follows {
			want = f.places.Replace(all[i+1].text)
		}
		if !strings.HasPrefix(text, serve) {
			f.script += text + "echo '" + strings.TrimSpace(endOfPart) + "'\n"
			f.want = append(f.want, want)
		}
	}
	if len(f.serve) == 0 || len(f.want) < 10 {
		f.t.Fatalf("%s has %d blocks to run and %q as the server's arguments; has its form changed?", page, len(f.want), f.serve)
	}
}

// endOfPart is between what the parts of the script print.
const endOfPart = "----- end of part -----\n"

// pageLimit bounds the time in which the page can be followed.
const pageLimit = 2 * time.Minute

// typed is what is typed when something is asked for.
type typed struct{ prompt, answer string }

// run runs the script in a shell at a terminal, with what it prints in a file.
// A command that fails ends it.
func (f *follower) run(t *testing.T, b *behind, keys []typed) {
	t.Helper()
	bin := filepath.Join(f.home, "bin")
	must(t, os.Mkdir(bin, 0o700))
	must(t, os.Symlink(program(t), filepath.Join(bin, "latchkey")))
	must(t, os.Symlink(b.pulpClient(t, "").Program(), filepath.Join(bin, "pulp")))
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	must(t, err)
	defer out.Close()
	shell := atTerminal(t, command{
		path: "/bin/bash", args: []string{"-euo", "pipefail", "-c", f.script}, dir: f.home,
		env: []string{"HOME=" + f.home, "PATH=" + bin + ":" + os.Getenv("PATH"), "TERM=xterm"},
	}, out)
	for _, k := range keys {
		shell.look(regexp.QuoteMeta(k.prompt))
		shell.press(k.answer + "\r")
	}
	if err := shell.waitFor(pageLimit); err != nil {
		t.Errorf("following the page: %v; at the terminal:\n%s\nand printed:\n%s", err, shell.text(), readFile(t, out.Name()))
	}
	f.got = readFile(t, out.Name())
}

// check compares what was printed with what the page says.
func (f *follower) check(t *testing.T) {
	t.Helper()
	got := strings.Split(f.got, endOfPart)
	for i, want := range f.want {
		if want == "" || i >= len(got) {
			continue
		}
		lines := strings.Split(strings.TrimSpace(regexp.QuoteMeta(want)), "\n") // not every answer ends its last line
		pattern := strings.ReplaceAll(strings.Join(lines, `\s*`), "…", "(?s:.*)")
		if !regexp.MustCompile(`\A` + pattern + `\z`).MatchString(strings.TrimSpace(got[i])) {
			t.Errorf("part %d of the page prints\n%s\nwant\n%s", i+1, got[i], want)
		}
	}
}

// TestPageConfiguration has the program check the configuration on the page.
func TestPageConfiguration(t *testing.T) {
	folder := t.TempDir()
	for name, content := range map[string]string{
		"latchkey.yaml":  strings.ReplaceAll(theBlock(t, "yaml"), "/etc/latchkey/", folder+"/"),
		"admin-password": "a password for the administrator\n",
		"pulp-dsn":       "postgres://latchkey:secret@127.0.0.1/pulp\n",
	} {
		must(t, os.WriteFile(filepath.Join(folder, name), []byte(content), 0o640))
	}
	_, _, err := proctest.Run(t.Context(), proctest.Spec{
		Name: "latchkey config check", Path: program(t), Args: []string{"config", "check", filepath.Join(folder, "latchkey.yaml")},
	})
	must(t, err)
}
