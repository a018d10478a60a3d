package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"
	"time"
)

// adminPassword is that of the administrator of a server that startServer
// starts.
const adminPassword = "a long admin sentence 4711"

// startServer runs 'latchkey serve' in this process, with its data in an empty
// folder and more flags if given, and returns where it listens and what ends
// it.
func startServer(dir string, flags ...string) (base string, stop func() error, err error) {
	return startServerIn(dir, nil, flags...)
}

// startServerIn is startServer with environment variables.
func startServerIn(dir string, variables map[string]string, flags ...string) (base string, stop func() error, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	out, stdout := io.Pipe()
	var stderr strings.Builder
	ended := make(chan int, 1)
	args := append([]string{"serve", "--listen", "127.0.0.1:0", "--data", dir}, flags...)
	environ := map[string]string{"LATCHKEY_ADMIN_PASSWORD": adminPassword}
	maps.Copy(environ, variables)
	go func() {
		code := run(ctx, args, strings.NewReader(""), stdout, &stderr, func(name string) string { return environ[name] })
		_ = stdout.Close()
		ended <- code
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	go func() { _, _ = io.Copy(io.Discard, out) }()
	base, found := strings.CutPrefix(strings.TrimSpace(line), "Latchkey is at ")
	if err != nil || !found {
		cancel()
		<-ended
		return "", nil, fmt.Errorf("latchkey serve printed %q and %q: %v", line, stderr.String(), err)
	}
	stop = func() error {
		cancel()
		select {
		case code := <-ended:
			if code != 0 {
				return fmt.Errorf("latchkey serve ended with %d: %s", code, stderr.String())
			}
			return nil
		case <-time.After(time.Minute):
			return fmt.Errorf("latchkey serve does not end")
		}
	}
	return base, stop, nil
}

// serverFor is startServer for the life of a test.
func serverFor(t *testing.T, flags ...string) string {
	t.Helper()
	base, stop, err := startServer(t.TempDir(), flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return base
}
