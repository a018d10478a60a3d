package main

import (
	"net"
	"path/filepath"
	"testing"
	"time"
)

// A service of Type=notify hears when the server is ready and when it stops.
func TestNotifySystemd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Skipf("no datagram sockets here: %v", err)
	}
	defer l.Close()
	_, stop, err := startServerIn(t.TempDir(), map[string]string{"NOTIFY_SOCKET": path})
	if err != nil {
		t.Fatal(err)
	}
	hear := func() string {
		t.Helper()
		if err := l.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		n, err := l.Read(buf)
		if err != nil {
			t.Fatalf("waiting to be notified: %v", err)
		}
		return string(buf[:n])
	}
	if got := hear(); got != "READY=1" {
		t.Errorf("the first notification is %q, want READY=1", got)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if got := hear(); got != "STOPPING=1" {
		t.Errorf("the second notification is %q, want STOPPING=1", got)
	}
	if err := notifySystemd(func(string) string { return path + " that is not there" }, "READY=1"); err == nil {
		t.Error("notifySystemd() with nobody there = nil, want an error")
	}
	if err := notifySystemd(func(string) string { return "" }, "READY=1"); err != nil {
		t.Errorf("notifySystemd() without systemd = %v, want nil", err)
	}
}
