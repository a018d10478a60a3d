package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCredentialFile(t *testing.T) {
	file := credentialFile{filepath.Join(t.TempDir(), "made", "latchkey", "credentials.json")}
	empty, err := file.load()
	if err != nil || len(empty.Servers) != 0 || empty.Servers == nil {
		t.Fatalf("load of no file: got %+v, %v", empty, err)
	}
	end := time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)
	want := credentials{Current: "https://a.test", Servers: map[string]login{
		"https://a.test": {Account: "alice", TokenID: "tok1", TokenName: "laptop", Token: "lkp_a", ExpiresAt: &end, CAFile: "/ca.pem"},
		"https://b.test": {Account: "alice", TokenID: "tok2", Token: "lkp_b"},
	}}
	for range 2 { // made, and replaced
		if err := file.save(want); err != nil {
			t.Fatal(err)
		}
	}
	got, err := file.load()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("load after save (-want +got):\n%s", diff)
	}
	left, err := os.ReadDir(filepath.Dir(file.path))
	if err != nil || len(left) != 1 {
		t.Errorf("the folder has %v in it (%v), want one file", left, err)
	}
}

func TestCredentialFileOfOthersIsRefused(t *testing.T) {
	file := credentialFile{filepath.Join(t.TempDir(), "credentials.json")}
	if err := file.save(credentials{Servers: map[string]login{"https://a.test": {Token: "lkp_hidden"}}}); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o601} {
		if err := os.Chmod(file.path, mode); err != nil {
			t.Fatal(err)
		}
		got, err := file.load()
		if err == nil || len(got.Servers) != 0 || strings.Contains(err.Error(), "lkp_hidden") {
			t.Errorf("load with mode %o: got %+v, %v; want it to be refused", mode, got, err)
		}
	}
}

func FuzzCredentialFile(f *testing.F) {
	f.Add([]byte(`{"current":"https://a.test","servers":{"https://a.test":{"token":"lkp_hidden"}}}`))
	f.Add([]byte(`{"servers":null}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, text []byte) {
		file := credentialFile{filepath.Join(t.TempDir(), "credentials.json")}
		if err := os.WriteFile(file.path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := file.load()
		if got.Servers == nil {
			t.Errorf("load of %q: got no map", text)
		}
		if err == nil {
			if err := file.save(got); err != nil {
				t.Errorf("save of what was loaded from %q: %v", text, err)
			}
		}
	})
}
