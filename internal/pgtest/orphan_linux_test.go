package pgtest_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-auth/latchkey/internal/pgtest"
	"github.com/latchkey-auth/latchkey/internal/pgtest/proctest"
)

// orphanVariable makes this test program start a server, print its URL and wait to be killed.
const orphanVariable = "PGTEST_ORPHAN"

func orphanMain() int {
	c, err := pgtest.Start(pgtest.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(c.DSN())
	io.Copy(io.Discard, os.Stdin) // until killed, or until the parent is gone
	return 0
}

// A test process that is killed can clean up nothing itself: the kernel has to end the server, and the next start has to
// remove the folder.
func TestKilledTestLeavesNothing(t *testing.T) {
	t.Setenv("LATCHKEY_TEST_POSTGRES", "")
	if _, err := pgtest.Tool("initdb"); err != nil {
		proctest.Missing(t, err.Error())
	}
	temp := setTempDir(t)
	dsn := killAfterStart(t)
	deadline := time.Now().Add(20 * time.Second)
	for {
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			break
		}
		conn.Close(t.Context())
		if time.Now().After(deadline) {
			t.Fatal("the server still answers 20 s after its test process was killed")
		}
		time.Sleep(20 * time.Millisecond)
	}
	stale := entries(t, temp)
	if len(stale) != 1 {
		t.Fatalf("folders left by the killed process = %q, want one", stale)
	}
	start(t, pgtest.Options{})
	if _, err := os.Stat(filepath.Join(temp, stale[0])); !os.IsNotExist(err) {
		t.Errorf("the folder of the killed process after the next start: %v, want it to be gone", err)
	}
}

// killAfterStart runs this program again so that it starts a server, kills it, and returns the URL of the server.
func killAfterStart(t *testing.T) string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), orphanVariable+"=1")
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil { // open for as long as this process lives
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	dsn, err := bufio.NewReader(stdout).ReadString('\n')
	killErr := cmd.Process.Kill()
	cmd.Wait()
	if err != nil || killErr != nil {
		t.Fatalf("second process: first line %q, %v; kill: %v", dsn, err, killErr)
	}
	return strings.TrimSpace(dsn)
}
