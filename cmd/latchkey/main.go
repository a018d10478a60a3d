// Command latchkey is the whole of Latchkey in one file: the server, and the
// command line that speaks to one through its native API. What it prints and
// how it ends is described in terminal.go and exit.go.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process as usual
	code := run(ctx, asHelper(os.Args[0], os.Args[1:]), os.Stdin, os.Stdout, os.Stderr, os.Getenv)
	stop()
	os.Exit(code)
}

// run executes one command line and returns the code to exit with. It touches
// nothing of the process beyond its arguments, the file system and the
// network. Prompts appear only where stdin is a terminal.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, getenv func(string) string) int {
	_, shown := terminalOf(stdout)
	env := &environment{
		stdin:  stdin,
		stdout: stdout,
		stderr: stderr,
		getenv: getenv,
		now:    time.Now,
		shown:  shown,
	}
	root := newRootCommand(env)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	command, err := root.ExecuteContextC(ctx)
	return env.finish(command, err)
}
