package proctest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// ErrExited is returned by WaitFor when a program ended while it was being waited for.
var ErrExited = errors.New("the program ended before it was ready")

// WaitFor asks ready again and again until it returns nil. It gives up when ctx ends or when one of the processes
// does; the error then holds the last answer of ready and the ends of the logs.
func WaitFor(ctx context.Context, ready func(context.Context) error, processes ...*Process) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		for _, p := range processes {
			select {
			case <-p.Done():
				return fmt.Errorf("%w: %s (%v)\n%s", ErrExited, p.name, p.err, tails(processes))
			default:
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; last answer: %v\n%s", context.Cause(ctx), err, tails(processes))
		case <-tick.C:
		}
	}
}

func tails(processes []*Process) string {
	var b strings.Builder
	for _, p := range processes {
		b.WriteString(p.LogTail(4000))
	}
	return b.String()
}

// FreePort returns a TCP port on 127.0.0.1 that nobody listened on a moment ago. Somebody else may take it before the
// caller does, so the caller must be ready to try again. A program that can inherit a listening socket should be
// given one instead (Spec.Files).
func FreePort() (int, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("looking for a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
