package dockerauth

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/scope"
)

// TestPlans compares whole files with what becomes of them.
func TestPlans(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no files: %v", err)
	}
	for _, name := range files {
		for _, widen := range []bool{false, true} {
			f, err := os.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			p, err := Read(f, Options{Widen: widen, Usable: func(user, hash string) error {
				if !strings.HasPrefix(hash, "$2") {
					return errors.New("its password is not a bcrypt hash")
				}
				return nil
			}})
			f.Close()
			if err != nil {
				t.Errorf("Read(%s) = %v", name, err)
				continue
			}
			golden := strings.TrimSuffix(name, ".yml") + map[bool]string{true: ".wide", false: ".exact"}[widen]
			if os.Getenv("UPDATE") != "" {
				if err := os.WriteFile(golden, []byte(written(p)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), written(p)); diff != "" {
				t.Errorf("Read(%s), widen %v (-want +got):\n%s", name, widen, diff)
			}
			if strings.Contains(written(p), "$2y$") {
				t.Errorf("Read(%s): a note has a hash in it", name)
			}
		}
	}
}

func written(p Plan) string {
	var b strings.Builder
	for _, u := range p.Users {
		fmt.Fprintf(&b, "user %s: %s\n", u.Name, strings.Join(u.Grants, " "))
	}
	fmt.Fprintf(&b, "group: %s\nanonymous: %s\n", strings.Join(p.Group, " "), strings.Join(p.Anonymous, " "))
	for _, n := range p.Notes {
		fmt.Fprintf(&b, "%d %s, %s: %s\n", n.Line, n.What, n.Outcome, n.Text)
	}
	return b.String()
}

func TestTranslate(t *testing.T) {
	for _, tt := range []struct {
		pattern string
		want    names
	}{
		{"prod/app", names{[]string{"prod/app"}, true}},
		{"prod/*", names{[]string{"prod/*"}, false}},
		{"f??bar", names{[]string{"f*bar"}, false}},
		{"app-[0-9]", names{[]string{"app-*"}, false}},
		{`a\.b`, names{[]string{"a.b"}, true}},
		{"[", names{nil, true}},
		{"/^prod\\/.*$/", names{[]string{"prod/*"}, true}},
		{"/^prod\\/.+$/", names{[]string{"prod/*"}, true}},
		{"/^prod\\/.+/", names{[]string{"prod/*"}, true}},
		{"/^prod.+$/", names{[]string{"prod*"}, false}},
		{"/prod/", names{[]string{"*prod*"}, true}},
		{"/.+/", names{[]string{"*"}, true}},
		{"/^(foo|bar)\\/.*$/", names{[]string{"foo/*", "bar/*"}, true}},
		{"/^app[12]$/", names{[]string{"app1", "app2"}, true}},
		{"/^app[0-9]+$/", names{[]string{"app*"}, false}},
		{"/^apps?$/", names{[]string{"apps", "app"}, true}},
		{"/^[^\\/]+\\/app$/", names{[]string{"*/app"}, false}},
		{"/^a.c$/", names{[]string{"a*c"}, false}},
		{"/^a|b$/", names{[]string{"a*", "*b"}, true}},
		{"/(/", names{nil, true}},
	} {
		got, err := translate(tt.pattern)
		if err != nil {
			t.Errorf("translate(%q) = %v", tt.pattern, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(names{})); diff != "" {
			t.Errorf("translate(%q) (-want +got):\n%s", tt.pattern, diff)
		}
	}
	for _, pattern := range []string{"/a^b/", "/(?i)prod/", `/\bprod/`, `/a\*b/`, `a\*b`, "/" + strings.Repeat("(a|b)", 7) + "/", "/$a/"} {
		if got, err := translate(pattern); err == nil {
			t.Errorf("translate(%q) = %+v, want an error", pattern, got)
		}
	}
}

// A pattern that is said to be exact matches what docker_auth matches, and
// another no less.
func FuzzTranslate(f *testing.F) {
	for _, p := range []string{"prod/*", "/^prod\\/.+$/", "/(a|b)c?/", "/[ab]+/", "a[bc]?", "/^(a$|b)/", "/a.+b/", "/.+a.*/"} {
		f.Add(p, "prod/a/b")
		f.Add(p, "ac")
	}
	f.Add("\x03", "0")
	f.Fuzz(func(t *testing.T, p, name string) {
		if !isName(name) {
			return
		}
		n, err := translate(p)
		if err != nil {
			return
		}
		ours := false
		for _, text := range n.texts {
			r, err := scope.Parse("repository:" + text + ":pull")
			if err != nil {
				if n.exact {
					continue
				}
				return
			}
			ours = ours || r.Allows(scope.Request{Type: "repository", Name: name, Action: "pull"})
		}
		theirs := matches(p, name)
		if theirs && !ours || n.exact && ours && !theirs {
			t.Errorf("%q as %+v on %q: docker_auth %v, ours %v", p, n, name, theirs, ours)
		}
	})
}

// isName reports whether a text can be the name of a repository, roughly.
func isName(s string) bool {
	return s != "" && !strings.HasPrefix(s, "/") && !strings.HasSuffix(s, "/") && !strings.Contains(s, "//") &&
		strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-._/") == ""
}

// authorize is docker_auth's decision (authz/acl.go, Authorize): the actions of
// the first entry that matches.
func authorize(entries []entry, account, typ, name string, asked []string) []string {
	for _, e := range entries {
		vars := []string{"${account}", quote(account), "${type}", quote(typ), "${name}", quote(name)}
		fits := func(p *string, text string) bool {
			return p == nil || matches(strings.NewReplacer(vars...).Replace(*p), text)
		}
		if !fits(e.account, account) || !fits(e.typ, typ) || !fits(e.name, name) {
			continue
		}
		if len(e.actions) == 1 && e.actions[0] == "*" {
			return asked
		}
		return common(asked, e.actions)
	}
	return nil
}

func quote(s string) string { return strings.NewReplacer(".", `\.`, "-", `\-`).Replace(s) }

// TestNobodyMayDoMore draws lists of entries and requests, and compares what
// docker_auth allows with what the grants do. Where all is exact, it is the
// same unless an entry takes something away.
func TestNobodyMayDoMore(t *testing.T) {
	pick := func(r *rand.Rand, from ...string) *string {
		if s := from[r.IntN(len(from))]; s != "" {
			return &s
		}
		return nil
	}
	users := []string{"alice", "bob", "carol"}
	repositories := []string{"prod/a", "prod/a/b", "dev/x", "alice/x", "bob/x/y", "hello", "prodigy", "prod"}
	allowed, all := 0, 0
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 7))
		f := &file{}
		for _, u := range users {
			f.users = append(f.users, user{name: u, hash: "x"})
		}
		f.users = append(f.users, user{open: true})
		for i := range 1 + r.IntN(6) {
			f.entries = append(f.entries, entry{
				number: i + 1, line: i + 1,
				account: pick(r, "", "", "alice", "bob", "/.+/", "/^(alice|carol)$/", "b*"),
				typ:     pick(r, "", "", "", "repository", "registry", "re*"),
				name: pick(r, "", "prod/*", "/^prod\\/.*$/", "${account}/*", "/^${account}\\/.+$/", "hello", "catalog",
					"/^(prod|dev)\\/.+/", "/prod/", "/^prod[a-z]*/", "*", "prod/a"),
				actions: [][]string{{"*"}, {"pull"}, {"pull", "push"}, {}, {"push", "pull", "delete"}, {"*", "pull"}}[r.IntN(6)],
			})
		}
		p := f.plan(Options{})
		for _, u := range append(users, "") {
			grants := slices.Clone(p.Anonymous)
			if u != "" {
				i := slices.IndexFunc(p.Users, func(x User) bool { return x.Name == u })
				grants = append(slices.Clone(p.Users[i].Grants), p.Group...)
			}
			for i := range grants {
				grants[i] = strings.ReplaceAll(grants[i], accountVariable, u)
			}
			set, err := scope.ParseGrants(grants)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			for _, name := range append(slices.Clone(repositories), "catalog") {
				typ, asked := "repository", []string{"pull", "push", "delete"}
				if name == "catalog" {
					typ, asked = "registry", []string{"*"}
				}
				theirs := authorize(f.entries, u, typ, name, asked)
				for _, action := range asked {
					all++
					ours := set.Allows(scope.Request{Type: typ, Name: name, Action: action})
					if ours && !slices.Contains(theirs, action) {
						t.Fatalf("seed %d: %q may %s %s:%s now, and could not before\n%s", seed, u, action, typ, name, written(p))
					}
					if ours {
						allowed++
					}
				}
			}
		}
	}
	if allowed < all/50 {
		t.Errorf("%d of %d requests are allowed, which shows nothing", allowed, all)
	}
}

func TestRefused(t *testing.T) {
	for _, text := range []string{
		"", "[]", "x: 1", "users: [a]", "acl: {a: b}", "acl: [a]", "acl: [{match: [a]}]", "acl: [{actions: {a: b}}]", "users: {a: [b]}",
		"users: {a: {password: [x]}}", "users: {a: {password: x}, a: {password: y}}", "\tx", "acl: [{match: {name: [a]}}]",
	} {
		if p, err := Read(strings.NewReader(text), Options{}); !errors.Is(err, ErrFile) {
			t.Errorf("Read(%q) = %+v, %v, want ErrFile", text, p, err)
		}
	}
}

// Whatever the file says, it is translated or refused.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"users: {alice: {password: $2y$}}\nacl: [{match: {account: alice}, actions: ['*']}]",
		"users: {a: {password: x, labels: {g: [b, c]}}}\nacl: [{match: {labels: {g: b}, name: '${labels:g}/*'}, actions: [pull]}]",
		"users: {'': {}}\nacl: [{match: {account: ''}, actions: [pull]}]",
		"acl: [{match: {name: '/(a|b)+/', account: '/^(.+)@x$/'}, actions: [a]}, {actions: []}]",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Read(strings.NewReader(text), Options{Widen: true})
		if err != nil {
			return
		}
		for _, grant := range append(p.Group, p.Anonymous...) {
			if _, err := scope.Parse(grant); err != nil && !strings.Contains(grant, accountVariable) {
				t.Errorf("the grant %q: %v", grant, err)
			}
		}
	})
}
