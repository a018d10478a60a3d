package main

import (
	"errors"
	"fmt"
	"net"
	"strings"
)

// notifySystemd tells systemd, if it started this process as a service of
// Type=notify, what has become of it: "READY=1" or "STOPPING=1". See
// https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html.
func notifySystemd(getenv func(string) string, state string) error {
	name := getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil
	}
	if after, abstract := strings.CutPrefix(name, "@"); abstract {
		name = "\x00" + after
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	_, err = conn.Write([]byte(state))
	if err = errors.Join(err, conn.Close()); err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	return nil
}
