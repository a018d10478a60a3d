package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/latchkey-auth/latchkey/client"
	"github.com/latchkey-auth/latchkey/internal/secret"
)

// Exit codes; 'latchkey help exit-codes' explains them to people.
const (
	exitOK          = 0
	exitOther       = 1
	exitUsage       = 2
	exitCredential  = 3
	exitForbidden   = 4
	exitNotFound    = 5
	exitConflict    = 6
	exitUnreachable = 7
)

// usageError says that the command line is wrong.
type usageError struct {
	text string
	hint string // what to do; "": read the help
}

func (e *usageError) Error() string { return e.text }

// advisedError is an error of which its maker knows what to do about it.
type advisedError struct {
	err  error
	hint string
}

func (e *advisedError) Error() string { return e.err.Error() }
func (e *advisedError) Unwrap() error { return e.err }

var (
	// errNotLoggedIn says that no credential was found to ask with.
	errNotLoggedIn = errors.New("you are not logged in")

	// errDeclined says that the person at the terminal did not say yes.
	errDeclined = errors.New("nothing was done")
)

// exitCode maps an error to the code to end with.
func exitCode(err error) int {
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage), errors.Is(err, client.ErrInvalid):
		return exitUsage
	case errors.Is(err, errNotLoggedIn), errors.Is(err, client.ErrUnauthenticated):
		return exitCredential
	case errors.Is(err, client.ErrForbidden):
		return exitForbidden
	case errors.Is(err, client.ErrNotFound):
		return exitNotFound
	case errors.Is(err, client.ErrConflict), errors.Is(err, client.ErrLimit):
		return exitConflict
	case errors.Is(err, client.ErrUnreachable), errors.Is(err, client.ErrUnavailable), errors.Is(err, client.ErrThrottled):
		return exitUnreachable
	}
	return exitOther
}

// finish is where every command ends. What went wrong is one line on standard
// error, what to do about it the lines after.
func (env *environment) finish(command *cobra.Command, err error) int {
	if err == nil {
		return exitOK
	}
	var said *saidError
	if errors.As(err, &said) {
		return said.code
	}
	fmt.Fprintf(env.stderr, "latchkey: %s\n", shown(whatHappened(err)))
	for _, hint := range env.advice(command, err) {
		fmt.Fprintf(env.stderr, "hint: %s\n", shown(hint))
	}
	return exitCode(err)
}

// shown is what can be shown of a text that may have in it what was typed: what
// a job on a build server prints is often there for everybody to read.
func shown(text string) string { return printable(secret.Scrub(text)) }

// whatHappened words an error for people: the server's own words where it has
// some, without the request that led to them.
func whatHappened(err error) string {
	if errors.Is(err, context.Canceled) {
		return "interrupted"
	}
	var answer *client.Error
	if !errors.As(err, &answer) || answer.Problem.Code == "" || answer.Problem.Detail == "" {
		return err.Error()
	}
	text := answer.Problem.Detail
	if field := answer.Problem.Field; field != "" && !strings.Contains(text, field) {
		text = field + ": " + text
	}
	// An error that says more than the server did keeps what it says.
	if prefix, found := strings.CutSuffix(err.Error(), answer.Error()); found {
		text = prefix + text
	}
	return text
}
