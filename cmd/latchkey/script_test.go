package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"latchkey": main, helperName: main})
}

// TestScripts runs the command line as people and scripts do. A script finds a
// server of its own at $LATCHKEY_SERVER, with an account admin whose password
// is $ADMIN_PASSWORD, and an empty folder for logins.
func TestScripts(t *testing.T) {
	found, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(found) == 0 {
		t.Fatalf("there are no scripts: %v", err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			base, stop, err := startServer(filepath.Join(e.WorkDir, "server-data"))
			if err != nil {
				return err
			}
			e.Defer(func() {
				if err := stop(); err != nil {
					e.T().FailNow()
				}
			})
			e.Setenv("LATCHKEY_SERVER", base)
			e.Setenv("ADMIN_PASSWORD", adminPassword)
			e.Setenv("XDG_CONFIG_HOME", filepath.Join(e.WorkDir, "config"))
			e.Setenv("GORACE", "atexit_sleep_ms=0") // or every command takes a second more under the race detector
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":   exits,
			"capture": capture,
			"field":   field,
			"mode":    mode,
			"same":    same,
		},
	})
}

// exits CODE PROGRAM ARGS...: the program must end with exactly this code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%s: %v", args[1], err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("%s: got exit code %d, want %s", strings.Join(args[1:], " "), got, args[0])
	}
}

// capture VAR: what was printed, without the line break at its end.
func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: capture VAR")
	}
	text := strings.TrimSuffix(ts.ReadFile("stdout"), "\n")
	if text == "" || strings.Contains(text, "\n") {
		ts.Fatalf("capture: standard output is not one line: %q", text)
	}
	ts.Setenv(args[0], text)
}

// field VAR FILE KEY...: a value in a JSON document, found by keys and indexes.
func field(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: field VAR FILE KEY...")
	}
	var at any
	if err := json.Unmarshal([]byte(ts.ReadFile(args[1])), &at); err != nil {
		ts.Fatalf("field: %v", err)
	}
	for _, key := range args[2:] {
		switch v := at.(type) {
		case map[string]any:
			at = v[key]
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i >= len(v) {
				ts.Fatalf("field: no element %s in %v", key, v)
			}
			at = v[i]
		default:
			ts.Fatalf("field: no %s in %v", key, at)
		}
	}
	ts.Setenv(args[0], fmt.Sprint(at))
}

// mode FILE OCTAL: the permissions of a file or folder.
func mode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode FILE OCTAL")
	}
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%o", info.Mode().Perm()); got != args[1] {
		ts.Fatalf("mode %s: got %s, want %s", args[0], got, args[1])
	}
}

// same A B: whether two texts are equal.
func same(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: [!] same A B")
	}
	if (args[0] == args[1]) == neg {
		ts.Fatalf("same: %q and %q", args[0], args[1])
	}
}
