package serverkey

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ErrMode says that a file with secrets can be read by others.
var ErrMode = errors.New("the file must not be readable by others (chmod 600)")

// Load reads the ring from the file at path. When the file does not exist and
// create is set, a new key is made and written there, readable by its owner
// alone. The file has one key a line, "id hex-secret", the current key first;
// empty lines and lines that begin with "#" do not count. Errors name the file
// and the line, never what stands there.
func Load(path string, create bool) (*Ring, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && create {
		return createFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the server secret: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read the server secret: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("read the server secret %s: %w", path, ErrMode)
	}
	var keys []*Key
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		k, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("read the server secret %s, line %d: %w", path, n, err)
		}
		keys = append(keys, k)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the server secret %s: %v", path, err)
	}
	ring, err := NewRing(keys...)
	if err != nil {
		return nil, fmt.Errorf("read the server secret %s: %w", path, err)
	}
	return ring, nil
}

// Parse reads a ring from text in the form of the file, with commas or
// newlines between the keys, as an environment variable holds it.
func Parse(text string) (*Ring, error) {
	var keys []*Key
	for i, part := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' }) {
		k, err := parseLine(strings.TrimSpace(part))
		if err != nil {
			return nil, fmt.Errorf("read the server secret from the environment, key %d: %w", i+1, err)
		}
		keys = append(keys, k)
	}
	ring, err := NewRing(keys...)
	if err != nil {
		return nil, fmt.Errorf("read the server secret from the environment: %w", err)
	}
	return ring, nil
}

func parseLine(line string) (*Key, error) {
	id, encoded, ok := strings.Cut(line, " ")
	if !ok {
		return nil, errors.New("want an id, a space and the secret in hexadecimal digits")
	}
	secret, err := hex.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return nil, errors.New("the secret is not in hexadecimal digits")
	}
	return NewKey(id, secret)
}

// createFile makes a key and writes it in full before it appears under its
// name, so that a crash or a second process never leaves half a file. When
// another process was first, its file counts.
func createFile(path string) (*Ring, error) {
	k, err := Generate()
	if err != nil {
		return nil, err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".server-key-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("make the server secret: %w", err)
	}
	defer os.Remove(tmp.Name())
	text := "# Latchkey's server secret. Whoever has it and the database can make tokens. Keep a copy apart from the database's.\n" +
		k.id + " " + hex.EncodeToString(k.secret) + "\n"
	if _, err := tmp.WriteString(text); err != nil {
		return nil, errors.Join(fmt.Errorf("make the server secret: %w", err), tmp.Close())
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return nil, fmt.Errorf("make the server secret: %w", err)
	}
	if err := os.Link(tmp.Name(), path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return Load(path, false)
		}
		return nil, fmt.Errorf("make the server secret: %w", err)
	}
	return NewRing(k)
}
