package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"golang.org/x/term"
)

// What goes where:
//
//   - Standard output has results and nothing else, so that it can be piped.
//   - Standard error has what is said about them: prompts, notes, errors.
//   - Secrets come from prompts without echo, standard input or the
//     environment, never from arguments. A new secret is a result.
//   - Prompts appear only when standard input is a terminal. Without one,
//     what would have been asked must have been given.
//   - What a server sent is never written raw to a terminal: see printable.

// say tells people something about what was done. Being quiet leaves it out.
func (env *environment) say(format string, args ...any) {
	if !env.flags.quiet {
		fmt.Fprintln(env.stderr, printable(fmt.Sprintf(format, args...)))
	}
}

// warn tells people something that being quiet does not leave out.
func (env *environment) warn(format string, args ...any) {
	fmt.Fprintln(env.stderr, printable("warning: "+fmt.Sprintf(format, args...)))
}

// printable makes text from elsewhere safe for a terminal: control characters
// and those that reorder text are spelled out.
func printable(text string) string {
	var b strings.Builder
	for _, r := range text {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			fmt.Fprintf(&b, `\u%04x`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// terminalOf returns the file behind a stream, if that is a terminal.
func terminalOf(stream any) (*os.File, bool) {
	f, ok := stream.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}

// askSecret prompts for something that is not shown while it is typed.
func (env *environment) askSecret(ctx context.Context, prompt string) (string, error) {
	in, ok := terminalOf(env.stdin)
	if !ok {
		return "", errors.New("asking for a secret needs a terminal")
	}
	before, err := term.GetState(int(in.Fd()))
	if err != nil {
		return "", fmt.Errorf("reading the terminal's state: %w", err)
	}
	fmt.Fprint(env.stderr, prompt)
	text, err := interruptible(ctx, func() (string, error) {
		b, err := term.ReadPassword(int(in.Fd()))
		return string(b), err
	})
	if ctx.Err() != nil {
		_ = term.Restore(int(in.Fd()), before) // or the shell would go on without echo
	}
	fmt.Fprintln(env.stderr)
	if err != nil {
		return "", fmt.Errorf("reading from the terminal: %w", err)
	}
	if text == "" {
		return "", &usageError{text: "nothing was entered"}
	}
	return text, nil
}

// ask prompts for a line.
func (env *environment) ask(ctx context.Context, prompt string) (string, error) {
	in, ok := terminalOf(env.stdin)
	if !ok {
		return "", errors.New("asking needs a terminal")
	}
	fmt.Fprint(env.stderr, printable(prompt))
	line, err := interruptible(ctx, func() (string, error) { return readLine(in) })
	if err != nil {
		fmt.Fprintln(env.stderr)
		return "", fmt.Errorf("reading from the terminal: %w", err)
	}
	return strings.TrimSpace(line), nil
}

// readLine reads up to a line break and not a byte further: what was typed
// ahead belongs to the next prompt.
func readLine(in io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); len(line) < 4096; {
		n, err := in.Read(b)
		switch {
		case n == 1 && b[0] == '\n':
			return string(line), nil
		case n == 1:
			line = append(line, b[0])
		case errors.Is(err, io.EOF) && len(line) > 0:
			return string(line), nil
		case err != nil:
			return "", err
		}
	}
	return "", errors.New("the line is too long")
}

// interruptible waits for a read, or for the context to end. The read is left
// behind then, since a read of a terminal cannot be taken back.
func interruptible(ctx context.Context, read func() (string, error)) (string, error) {
	type result struct {
		text string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		text, err := read()
		done <- result{text, err}
	}()
	select {
	case r := <-done:
		return r.text, r.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// confirm asks before something that cannot be undone. Without a terminal,
// --yes must have been given.
func (env *environment) confirm(ctx context.Context, yes bool, question string) error {
	if yes {
		return nil
	}
	if _, ok := terminalOf(env.stdin); !ok {
		return &usageError{text: "this cannot be undone, and there is no terminal to ask at", hint: "add --yes if you are sure"}
	}
	answer, err := env.ask(ctx, question+" [y/N] ")
	if err != nil {
		return err
	}
	if a := strings.ToLower(answer); a != "y" && a != "yes" {
		return errDeclined
	}
	return nil
}

// secretLines reads exactly n secrets from standard input, one a line.
func (env *environment) secretLines(ctx context.Context, n int) ([]string, error) {
	const most = 64 << 10
	text, err := interruptible(ctx, func() (string, error) {
		b, err := io.ReadAll(io.LimitReader(env.stdin, most+1))
		return string(b), err
	})
	if err != nil {
		return nil, fmt.Errorf("reading standard input: %w", err)
	}
	if len(text) > most {
		return nil, &usageError{text: "standard input is too long to be a secret"}
	}
	var lines []string
	for scanner := bufio.NewScanner(strings.NewReader(text)); scanner.Scan(); {
		lines = append(lines, scanner.Text())
	}
	if len(lines) != n {
		return nil, &usageError{text: fmt.Sprintf("standard input has %d lines, where %d must be", len(lines), n)}
	}
	for _, line := range lines {
		if line == "" {
			return nil, &usageError{text: "a line of standard input is empty"}
		}
	}
	return lines, nil
}

// oneSecret reads a secret from standard input, or asks for it at a terminal.
func (env *environment) oneSecret(ctx context.Context, prompt string) (string, error) {
	if _, ok := terminalOf(env.stdin); ok {
		return env.askSecret(ctx, prompt)
	}
	lines, err := env.secretLines(ctx, 1)
	if err != nil {
		return "", err
	}
	return lines[0], nil
}
