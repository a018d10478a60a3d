package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/latchkey-auth/latchkey/internal/secret"
)

// maxFile bounds the files that are read, in bytes.
const maxFile = 1 << 20

// opened is a file that was read, or the zero value.
type opened struct {
	content []byte
	mode    fs.FileMode
}

// exposed reports whether others than the owner and the group have access.
// Unlike the server's key, a configuration file is often root's and lent to
// the server by its group.
func (o opened) exposed() bool { return o.mode.Perm()&0o007 != 0 }

const exposedAdvice = "others on this machine have access to the file; run chmod o= on it, or mount it with mode 0440"

// read reads a file of limited size. Errors do not repeat the path, which is
// said beside them.
func read(path string) (opened, error) {
	f, err := os.Open(path)
	if err != nil {
		return opened{}, fmt.Errorf("the file cannot be read: %w", withoutPath(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return opened{}, fmt.Errorf("the file cannot be read: %w", withoutPath(err))
	}
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return opened{}, fmt.Errorf("the file cannot be read: %w", withoutPath(err))
	case len(content) > maxFile:
		return opened{}, errors.New("the file is larger than 1 MiB")
	case !utf8.Valid(content):
		return opened{}, errors.New("the file is not UTF-8 text")
	}
	return opened{content: content, mode: info.Mode()}, nil
}

func withoutPath(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// readContents reads the files that keys such as dsn_file name, and puts what
// they hold where it belongs.
func (l *loader) readContents() {
	for _, e := range l.schema.leaves() {
		if e.fills == "" || !l.values.Exists(e.path) {
			continue
		}
		path, _ := l.values.Get(e.path).(string)
		if path == "" {
			continue
		}
		from, at := l.origins[e.path], l.origins[e.fills]
		if direct, _ := l.values.Get(e.fills).(string); direct == "" {
			at = Origin{} // an empty value is as good as none
		}
		switch {
		case at.Layer > from.Layer:
			continue // a higher layer has the value itself
		case at.Layer == from.Layer:
			l.problems.add(e.path, from, "%s is set in the same place; set one of the two", e.fills)
			continue
		}
		value, err := readSecret(path)
		if err != nil {
			l.problems.add(e.path, from, "%s: %v", plain(path), err)
			continue
		}
		from.Via = path
		l.origins[e.fills] = from
		filled := mapProvider{}
		put(filled, e.fills, value)
		l.layer(filled, nil)
	}
}

// readSecret reads a file that holds one secret (S76). A line break at its end
// does not count.
func readSecret(path string) (string, error) {
	file, err := read(path)
	if err != nil {
		return "", err
	}
	value := strings.TrimRight(string(file.content), "\r\n")
	switch {
	case file.exposed():
		return "", errors.New(exposedAdvice)
	case value == "":
		return "", errors.New("the file is empty")
	}
	return value, nil
}

// checkExposure refuses a configuration file that holds secrets and that
// others can read (S76).
func (l *loader) checkExposure(c *Config) {
	if !l.file.exposed() {
		return
	}
	var held []string
	for _, e := range l.schema.leaves() {
		at := l.origins[e.path]
		if e.isSecret() && at.Layer == FromFile && at.Via == "" && e.hides(e.in(reflect.ValueOf(c).Elem())) {
			held = append(held, e.path)
		}
	}
	if slices.Sort(held); len(held) > 0 {
		at := l.origins[held[0]]
		at.Line = 0
		l.problems.add("", at, "it holds secrets (%s), and %s", strings.Join(held, ", "), exposedAdvice)
	}
}

// hides reports whether the key's value is a secret that is there.
func (e *entry) hides(field reflect.Value) bool {
	s, ok := field.Interface().(secret.Text)
	return ok && !s.Empty() && (e.shown == "" || !strings.HasPrefix(s.Reveal(), e.shown))
}
