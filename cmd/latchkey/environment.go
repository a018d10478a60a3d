package main

import (
	"io"
	"time"
)

// environment is all that a command may know of the world around it, so that
// tests can give it another one.
type environment struct {
	stdin  io.Reader
	stdout io.Writer // results, for people and for the next program in a pipe
	stderr io.Writer // everything that is said about them
	getenv func(string) string
	now    func() time.Time

	// shown says that stdout is a terminal, where a secret needs a word about it.
	shown bool

	// flags are those that all commands that speak to a server share.
	flags connectionFlags

	// asked is the server that the command turned to, for the advice that
	// comes with an error; its zero value says that it did not get so far.
	asked connection
}
