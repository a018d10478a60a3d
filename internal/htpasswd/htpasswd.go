// Package htpasswd reads password files of the Apache HTTP server's htpasswd
// program, which nginx and docker-registry take, too. It checks no password and
// makes no account; it says which lines can be taken over, and why others
// cannot.
package htpasswd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxLine bounds a line; a name and a hash are far shorter.
const maxLine = 4096

// ErrFile says that a file is no password file.
var ErrFile = errors.New("not a password file")

// Line is a line about a user. Problem is "" where it can be taken over.
type Line struct {
	Number  int
	Name    string
	Hash    string // bcrypt; "" with a problem
	Problem string // why not, without anything of the hash
}

// Read reads a file. Errors wrap [ErrFile] or are those of the reader, and
// repeat nothing of what stands in the file.
func Read(r io.Reader) ([]Line, error) {
	var lines []Line
	first := map[string]int{} // index of the line that has a name first
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, maxLine)
	for number := 1; scanner.Scan(); number++ {
		text := strings.TrimSpace(scanner.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		name, hash, found := strings.Cut(text, ":")
		if !found || name == "" {
			return nil, fmt.Errorf("%w: line %d is not of the form name:hash", ErrFile, number)
		}
		l := Line{Number: number, Name: name, Problem: problem(hash)}
		if l.Problem == "" {
			l.Hash = hash
		}
		if at, twice := first[name]; twice {
			// Apache takes the first, docker-registry the last.
			l.Hash, l.Problem = "", fmt.Sprintf("the name is in line %d, too, and programs differ in which they take", lines[at].Number)
			lines[at].Hash, lines[at].Problem = "", fmt.Sprintf("the name is in line %d, too, and programs differ in which they take", number)
		} else {
			first[name] = len(lines)
		}
		lines = append(lines, l)
	}
	if err := scanner.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, fmt.Errorf("%w: a line is longer than %d bytes", ErrFile, maxLine)
	} else if err != nil {
		return nil, err
	}
	return lines, nil
}

// problem says why a hash cannot be taken over. bcrypt alone is slow enough to
// be kept, and is all that docker-registry takes.
func problem(hash string) string {
	switch {
	case strings.HasPrefix(hash, "$2"):
		return ""
	case strings.HasPrefix(hash, "$apr1$"), strings.HasPrefix(hash, "$1$"):
		return "its hash is MD5, which is quick to guess"
	case strings.HasPrefix(hash, "{SHA}"), strings.HasPrefix(hash, "{SSHA}"):
		return "its hash is one round of SHA-1, which is quick to guess"
	case strings.HasPrefix(hash, "$5$"), strings.HasPrefix(hash, "$6$"), strings.HasPrefix(hash, "$y$"):
		return "its hash is of a kind of crypt that is not known here"
	case hash == "", strings.HasPrefix(hash, "*"), strings.HasPrefix(hash, "!"):
		return "it has no password"
	}
	return "its hash is an old crypt hash or the password itself"
}
