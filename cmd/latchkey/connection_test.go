package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestNormalServer(t *testing.T) {
	for text, want := range map[string]string{
		"https://Tokens.Example.org/":    "https://tokens.example.org",
		"HTTPS://tokens.example.org:443": "https://tokens.example.org",
		"http://tokens.example.org:80/a": "http://tokens.example.org/a",
		"https://tokens.example.org:80":  "https://tokens.example.org:80",
		"tokens.example.org":             "https://tokens.example.org",
		"tokens.example.org:8443":        "https://tokens.example.org:8443",
		"localhost:8080":                 "http://localhost:8080",
		"127.0.0.1:8080":                 "http://127.0.0.1:8080",
		"[::1]:8080":                     "http://[::1]:8080",
		"https://[::1]:443":              "https://[::1]",
		"https://localhost":              "https://localhost",
		"https://a:secret@example.org":   "",
		"https://exam ple.org":           "",
		"a:secret@example.org":           "",
		"https://example.org:secret":     "",
	} {
		got, err := normalServer(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("normalServer(%q): got %q, %v; want %q", text, got, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("normalServer(%q): the error repeats the URL: %v", text, err)
		}
	}
}

// TestCredentialOrder checks which of several credentials is taken.
func TestCredentialOrder(t *testing.T) {
	const server = "https://tokens.example.org"
	folder := t.TempDir()
	file := credentialFile{filepath.Join(folder, "latchkey", "credentials.json")}
	if err := file.save(credentials{Current: server, Servers: map[string]login{server: {Token: "lkp_stored", CAFile: "/stored.pem"}}}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		flags   connectionFlags
		environ map[string]string
		want    connection
	}{
		{"stored", connectionFlags{}, nil,
			connection{server: server, caFile: "/stored.pem", origin: fromLogin, token: "lkp_stored"}},
		{"stored, other server", connectionFlags{server: "https://other.test"}, nil,
			connection{server: "https://other.test"}},
		{"user variable", connectionFlags{}, map[string]string{"LATCHKEY_USER": "alice"},
			connection{server: server, caFile: "/stored.pem", origin: fromUserVariable, user: "alice"}},
		{"token variable", connectionFlags{}, map[string]string{"LATCHKEY_USER": "alice", "LATCHKEY_TOKEN": "lkp_env"},
			connection{server: server, caFile: "/stored.pem", origin: fromTokenVariable, token: "lkp_env"}},
		{"user flag", connectionFlags{user: "bob"}, map[string]string{"LATCHKEY_TOKEN": "lkp_env"},
			connection{server: server, caFile: "/stored.pem", origin: fromUserFlag, user: "bob"}},
		{"token flag", connectionFlags{token: "lkp_flag"}, map[string]string{"LATCHKEY_TOKEN": "lkp_env", "LATCHKEY_USER": "alice"},
			connection{server: server, caFile: "/stored.pem", origin: fromTokenFlag, token: "lkp_flag"}},
		{"server variable", connectionFlags{caFile: "/flag.pem"}, map[string]string{"LATCHKEY_SERVER": "https://other.test/", "LATCHKEY_CA_FILE": "/env.pem"},
			connection{server: "https://other.test", caFile: "/flag.pem"}},
	} {
		environ := map[string]string{"XDG_CONFIG_HOME": folder}
		for k, v := range tt.environ {
			environ[k] = v
		}
		env := &environment{getenv: func(name string) string { return environ[name] }, flags: tt.flags}
		got, err := env.connection()
		got.login = login{}
		if err != nil || got != tt.want {
			t.Errorf("%s: got %+v, %v; want %+v", tt.name, got, err, tt.want)
		}
	}
	env := &environment{getenv: func(string) string { return "" }, flags: connectionFlags{token: "a", user: "b"}}
	if _, err := env.connection(); exitCode(err) != exitUsage {
		t.Errorf("--token and --user: got %v, want a usage error", err)
	}
}
