package config

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// loadText loads a document and returns what was wrong, a line each.
func loadText(t *testing.T, doc string, vars map[string]string) []string {
	t.Helper()
	path := write(t, doc)
	_, err := Load(Options{File: path, Getenv: getenv(vars)})
	if err == nil {
		return nil
	}
	var all *Error
	if !errors.As(err, &all) || len(all.Problems) == 0 {
		t.Fatalf("Load(%q) = %v, want an *Error with problems", doc, err)
	}
	var lines []string
	for _, p := range all.Problems {
		if !strings.Contains(err.Error(), p.String()) {
			t.Errorf("the error does not say %q:\n%v", p, err)
		}
		lines = append(lines, strings.ReplaceAll(p.String(), path, "F"))
	}
	return lines
}

func TestUnknownKeys(t *testing.T) {
	for _, c := range []struct{ doc, want string }{
		{"listne: x", "F:1: there is no key listne; the closest one is listen"},
		{"\nlog:\n  levle: debug", "F:3: there is no key log.levle; the closest one is log.level"},
		{"log: {Format: json}", "F:1: there is no key log.Format; the closest one is log.format"},
		{"public-url: x", "F:1: there is no key public-url; the closest one is public_url"},
		{"level: debug", "F:1: there is no key level; the closest one is log.level"},
		{"log.level: debug", "F:1: there is no key log.level; keys are written without dots: log with level below it"},
		{"log: {listen: x}", "F:1: there is no key log.listen; the closest one is listen"},
		{"dsn: x", "F:1: there is no key dsn; the closest one is sources.django.dsn"},
		{"check: {zzzzzzzz: 1}", "F:1: there is no key check.zzzzzzzz; here can be cache_entries, bound, stale_for"},
		{"routes:\n  - prefx: /a/", "F:2: there is no key routes[0].prefx; the closest one is routes[0].prefix"},
		{"? [a]\n: b", "F:1: there is a key here that does not look like one"},
		{"<<: {listen: x}", "F:1: there is a key here that does not look like one"},
	} {
		got := loadText(t, c.doc, nil)
		if len(got) == 0 || !strings.Contains(got[0], c.want) {
			t.Errorf("Load(%q) = %q, want %q", c.doc, got, c.want)
		}
	}
}

func TestWrongValues(t *testing.T) {
	for _, c := range []struct{ doc, want string }{
		{"plain_http: yes", "F:1: plain_http: want true or false"},
		{"http: {max_header_bytes: big}", "F:1: http.max_header_bytes: want a whole number from 4096 to 1048576"},
		{"http: {max_header_bytes: 1}", "F:1: http.max_header_bytes: want a whole number from 4096 to 1048576"},
		{"check:\n  bound: 2", "F:2: check.bound: want a duration such as 90d, 12h or 30m, from 100ms to 1m"},
		{"check:\n  bound: 99ms", "F:2: check.bound: want a duration"},
		{"check:\n  bound: 0", "F:2: check.bound: want a duration"},
		{"check: {bound: 2m}", "F:1: check.bound: want a duration"},
		{"check: {stale_for: 61m}", "F:1: check.stale_for: want a duration such as 90d, 12h or 30m, from 0 to 1h, or 0 (checks fail until it answers again)"},
		{"audit: {keep: 1h}", "F:1: audit.keep: want a duration such as 90d, 12h or 30m, from 1d to 36500d, or 0 (for ever)"},
		{"log: {level: loud}", "F:1: log.level: want one of debug, info, warn, error"},
		{"log: debug", "F:1: log: want keys with values, such as format: …, not a single value"},
		{"log: [a]", "F:1: log: want keys with values, such as format: …, not a list"},
		{"listen: [a]", "F:1: listen: want a text, not a list"},
		{"listen: {a: b}", "F:1: listen: want a text, not keys with values"},
		{`listen: " 127.0.0.1:80"`, "F:1: listen: there are spaces around it"},
		{`data: "a\nb"`, "F:1: data: there is a line break or another control character in it"},
		{"passwords: {sources: local}", "F:1: passwords.sources: want a list of some of local, django, pulp, not a single value"},
		{"passwords: {sources: [local, ldap]}", "F:1: passwords.sources: element 2: want one of local, django, pulp"},
		{"passwords: {sources: [[local]]}", "F:1: passwords.sources[0]: want a text, not a list"},
		{"trusted_proxies: [proxy.example.org]", "F:1: trusted_proxies: element 1: want an address or a network, such as 192.0.2.1 or 10.0.0.0/8"},
		{"trusted_proxies: [10.1.2.3/8]", "F:1: trusted_proxies: element 1: the address has more bits than its network; write 10.0.0.0/8 for the network, or the address alone"},
		{"trusted_proxies:\n  - 10.0.0.1\n  -", "F:3: trusted_proxies[1]: this element is empty; remove it"},
		{"routes: {a: b}", "F:1: routes: want a list, each with keys such as name, not keys with values"},
		{"routes: [a]", "F:1: routes[0]: want keys with values, such as name: …, not a single value"},
		{"routes:\n  - {prefix: /a/, upstream: http://h,\n     dial_timeout: soon}", "F:3: routes[0].dial_timeout: want a duration"},
		{"listen: a\nlisten: b", "F:2: listen: this key is here twice; keep one"},
		{"admin_password: x", "F:1: admin_password: this must not stand in a file; set the environment variable LATCHKEY_ADMIN_PASSWORD, or admin_password_file"},
		{"a: b: c", "F: this is no YAML: "},
		{"listen: *a", "anchors, aliases and tags cannot be used"},
		{"listen: &a b", "anchors, aliases and tags cannot be used"},
		{"listen: !!str b", "anchors, aliases and tags cannot be used"},
		{"listen: 127.0.0.1:1\n---\nlisten: b", "F: there is more than one document; only one can be"},
		{"- a", "F:1: want keys with values, such as listen: …, not a list"},
		{"trusted_proxies: [" + strings.Repeat("10.0.0.1,", maxElements+1) + "]", "F:1: trusted_proxies: the list has more than 1000 elements"},
		{"\xff", "F: the file is not UTF-8 text"},
		{strings.Repeat("#", maxFile+1), "F: the file is larger than 1 MiB"},
		{`secret: "[hidden]"`, "F:1: secret: [hidden] stands for a secret that was not shown"},
	} {
		got := loadText(t, c.doc, nil)
		name := c.doc[:min(len(c.doc), 60)]
		if len(got) == 0 || !strings.Contains(got[0], c.want) {
			t.Errorf("Load(%q) = %q, want %q", name, got, c.want)
		}
	}
}

func TestWrongVariables(t *testing.T) {
	for name, want := range map[string]string{
		"LATCHKEY_CHECK_BOUND":     "LATCHKEY_CHECK_BOUND: check.bound: want a duration",
		"LATCHKEY_TRUSTED_PROXIES": "LATCHKEY_TRUSTED_PROXIES: trusted_proxies: element 1: want an address",
		"LATCHKEY_ROUTES":          "LATCHKEY_ROUTES",
	} {
		got := loadText(t, "", map[string]string{name: "nonsense"})
		if len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("Load with %s = %q, want %q", name, got, want)
		}
	}
	got := loadText(t, "", map[string]string{FileVariable: "/nowhere/latchkey.yml"})
	if len(got) != 0 {
		t.Errorf("Load = %q although the file was named otherwise", got)
	}
}

func TestNoSuchFile(t *testing.T) {
	_, err := Load(Options{File: "/nowhere/latchkey.yml"})
	if want := "the configuration cannot be used: /nowhere/latchkey.yml: the file cannot be read: no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("Load = %v, want %q", err, want)
	}
	if !strings.Contains(errorOf(Load(Options{File: t.TempDir()})), "the file cannot be read: is a directory") {
		t.Errorf("Load of a folder = %v", err)
	}
}

func errorOf(_ Config, err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestAllProblemsAtOnce(t *testing.T) {
	const doc = "listne: x\ncheck: {bound: 1}\nlog: {level: loud}\npulp: {api: http://127.0.0.1:1}\n"
	got := loadText(t, doc, map[string]string{"LATCHKEY_LISTEN": "0.0.0.0:80"})
	for _, want := range []string{"listne", "check.bound", "log.level", "pulp.content", "listen: the server speaks plain HTTP"} {
		if !strings.Contains(strings.Join(got, "\n"), want) {
			t.Errorf("Load = %q, want %s among them", got, want)
		}
	}
	if len(got) != 5 {
		t.Errorf("Load found %d problems, want 5: %q", len(got), got)
	}
}

// A file of nonsense is not described to its end.
func TestEndlessProblems(t *testing.T) {
	for _, line := range []string{"nonsense%d: x\n", "listen: x # %d\n"} {
		var doc strings.Builder
		for i := range 5 * maxProblems {
			fmt.Fprintf(&doc, line, i)
		}
		got := loadText(t, doc.String(), nil)
		if len(got) > 2*maxProblems || !strings.Contains(strings.Join(got, "\n"), "there is more that is wrong") {
			t.Errorf("Load of many times %q found %d problems, want about %d and a note", line, len(got), maxProblems)
		}
	}
}

func TestNothingIsNoError(t *testing.T) {
	for _, doc := range []string{"", "\n", "# a comment", "---\n", "listen:\n", "listen: null", "log:\n  level:\n", "routes: []", "sources:\n  # dsn: x\n", "{}"} {
		if got := loadText(t, doc, nil); len(got) > 0 {
			t.Errorf("Load(%q) = %q, want no problem", doc, got)
		}
	}
}

// A text stays what it was written as, whatever YAML might take it for.
func TestTextsAreNotGuessed(t *testing.T) {
	for _, text := range []string{"0123", "1e3", "true", "2026-01-01", "0x1f", ".5", "no"} {
		c, err := Load(Options{File: write(t, "sources: {django: {table: "+text+"}}")})
		if err != nil || c.Sources.Django.Table != text {
			t.Errorf("Load of table: %s = %q, %v", text, c.Sources.Django.Table, err)
		}
	}
}

// S76: an error never repeats a value, wherever that was put by mistake.
func TestErrorsDoNotRepeatValues(t *testing.T) {
	const planted = "plantedNotARealSecret"
	for _, e := range schema().leaves() {
		name := e.env()
		for _, value := range []string{planted, planted + "\n", "postgres://u:" + planted + "@h:port/db", "http://u:" + planted + "@h", "[" + planted, "*" + planted, "{" + planted + ": 1}", "%" + planted} {
			if out := errorOf(Load(Options{Getenv: getenv(map[string]string{name: value})})); strings.Contains(out, planted) && e.fills == "" {
				t.Errorf("Load with %s says the value: %s", name, out)
			}
		}
	}
	for _, doc := range []string{
		"secret: *" + planted, "secret: &" + planted, "secret: !" + planted + " x", "secret: @" + planted, "secret: `" + planted,
		"secret: \"" + planted, "secret: '" + planted + "' x", "secret: [" + planted, "secret: {" + planted, "secret: \"\\q" + planted + "\"",
		"secret: %" + planted, "secret " + planted, "postgres://u:" + planted + "@h: x", "secret: | " + planted, "%TAG ! " + planted + "\n---\na: !b c",
		"secret: !" + planted + "!x y", "secret: a: " + planted, "- " + planted, "secret:\n\t" + planted, "\"secret: " + planted + "\": x",
	} {
		if out := errorOf(Load(Options{File: write(t, doc)})); out == "" || strings.Contains(out, planted) {
			t.Errorf("Load(%q) = %q, want an error without the value", doc, out)
		}
	}
}

// S76: files with secrets are refused when others can read them.
func TestExposedFiles(t *testing.T) {
	exposed := func(doc string, mode os.FileMode) string {
		path := write(t, doc)
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const dsn = "postgres://u:notARealPassword@h/db"
	for _, c := range []struct {
		doc  string
		mode os.FileMode
		want string
	}{
		{"listen: 127.0.0.1:1", 0o644, ""},
		{"database: sqlite:/srv/db", 0o644, ""},
		{"database: \"\"", 0o644, ""},
		{"database: " + dsn, 0o600, ""},
		{"database: " + dsn, 0o640, ""},
		{"database: " + dsn, 0o644, "it holds secrets (database), and others on this machine have access to the file; run chmod o= on it"},
		{"database: " + dsn, 0o602, "it holds secrets"},
		{"secret: a 00", 0o604, "it holds secrets (secret)"},
	} {
		path := exposed(c.doc, c.mode)
		got := errorOf(Load(Options{File: path}))
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("Load(%q with mode %o) = %q, want %q", c.doc, c.mode, got, c.want)
		}
		if got != "" && !strings.Contains(got, path) {
			t.Errorf("Load(%q with mode %o) = %q, want the file's name in it", c.doc, c.mode, got)
		}
	}
	held := exposed(dsn, 0o644)
	got := errorOf(Load(Options{Getenv: getenv(map[string]string{"LATCHKEY_DATABASE_FILE": held})}))
	if !strings.Contains(got, "LATCHKEY_DATABASE_FILE: database_file: "+held+": others on this machine have access to the file") {
		t.Errorf("Load with an exposed database_file = %q", got)
	}
	// A secret from elsewhere does not make the file a secret.
	c := Options{File: exposed("listen: 127.0.0.1:1\ndatabase: sqlite:/x", 0o644), Getenv: getenv(map[string]string{"LATCHKEY_DATABASE": dsn})}
	if got := errorOf(Load(c)); got != "" {
		t.Errorf("Load with the secret in the environment = %q", got)
	}
}

func TestContents(t *testing.T) {
	const dsn = "postgres://u:notARealPassword@h/db"
	held := write(t, dsn+"\n")
	vars := map[string]string{"LATCHKEY_DATABASE_FILE": held, "LATCHKEY_ADMIN_PASSWORD_FILE": write(t, "correct horse\r\n")}
	doc := "sources: {django: {dsn_file: " + held + "}}\npasswords: {sources: [local, django]}\ndatabase: sqlite:/overridden\n"
	file := write(t, doc)
	c, err := Load(Options{File: file, Getenv: getenv(vars)})
	if err != nil {
		t.Fatalf("Load = %v", err)
	}
	for key, got := range map[string]string{"database": c.Database.Reveal(), "sources.django.dsn": c.Sources.Django.DSN.Reveal()} {
		if got != dsn {
			t.Errorf("%s = %q, want %q", key, got, dsn)
		}
	}
	if got := c.AdminPassword.Reveal(); got != "correct horse" {
		t.Errorf("admin_password = %q, want it without the line break", got)
	}
	if got, want := c.Origin("database").String(), "env LATCHKEY_DATABASE_FILE, from the file "+held; got != want {
		t.Errorf("Origin(database) = %q, want %q", got, want)
	}

	vars = map[string]string{"LATCHKEY_DATABASE": "sqlite:/direct"}
	c, err = Load(Options{File: write(t, "database: \"\"\ndatabase_file: "+held), Getenv: getenv(vars)})
	if err != nil || c.Database.Reveal() != "sqlite:/direct" {
		t.Errorf("the higher layer's database = %q, %v; want sqlite:/direct", c.Database.Reveal(), err)
	}
	for doc, want := range map[string]string{
		"database: sqlite:/a\ndatabase_file: " + held: "F:2: database_file: database is set in the same place; set one of the two",
		"database_file: /nowhere/dsn":                 "F:1: database_file: /nowhere/dsn: the file cannot be read: no such file or directory",
		"database_file: " + write(t, "\n"):            "the file is empty",
		"secret_file: /a\nsecret: b 00":               "F:1: secret_file: the secret is set itself, too; set one of the two",
	} {
		if got := loadText(t, doc, nil); len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("Load(%q) = %q, want %q", doc, got, want)
		}
	}
}
