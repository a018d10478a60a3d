package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// credentials is what logins left behind: a token for each server.
type credentials struct {
	// Current is the server that is asked when none is named.
	Current string           `json:"current"`
	Servers map[string]login `json:"servers"` // by normalServer

	// Registries says whose tokens the credential helper gives to which
	// registry, by host.
	Registries map[string]registry `json:"registries,omitempty"`
}

// login is what is kept of one login.
type login struct {
	Account   string     `json:"account"`
	TokenID   string     `json:"token_id"`
	TokenName string     `json:"token_name"`
	Token     string     `json:"token"` // the secret
	ExpiresAt *time.Time `json:"expires_at"`
	CAFile    string     `json:"ca_file,omitempty"` // absolute
}

// credentialFile keeps credentials. Only its owner can read it.
type credentialFile struct{ path string }

// credentialFile finds the file in the user's folder for configuration. It
// need not exist.
func (env *environment) credentialFile() (credentialFile, error) {
	folder := env.getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(folder) { // such a value must be ignored, says the XDG base directory specification
		switch home := env.getenv("HOME"); {
		case runtime.GOOS == "windows" && env.getenv("AppData") != "":
			folder = env.getenv("AppData")
		case filepath.IsAbs(home):
			folder = filepath.Join(home, ".config")
		default:
			// A container may have no home. It needs none until it logs in.
			return credentialFile{}, nil
		}
	}
	return credentialFile{filepath.Join(folder, "latchkey", "credentials.json")}, nil
}

// load reads the file; one that does not exist is empty. A file that others
// can read is refused: what is in it has to be seen as leaked.
func (c credentialFile) load() (credentials, error) {
	none := credentials{Servers: map[string]login{}}
	if c.path == "" {
		return none, nil
	}
	text, err := readPrivate(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return none, nil
	}
	if err != nil {
		return none, err
	}
	var found credentials
	if json.Unmarshal(text, &found) != nil { // its error might quote a token
		return none, &advisedError{
			err:  fmt.Errorf("the stored logins in %s cannot be read", c.path),
			hint: "delete the file and log in again",
		}
	}
	if found.Servers == nil {
		found.Servers = map[string]login{}
	}
	return found, nil
}

// readPrivate reads a file that nobody else may read.
func readPrivate(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the stored logins: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading the stored logins: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, &advisedError{
			err:  fmt.Errorf("others may read your tokens in %s (mode %04o)", path, info.Mode().Perm()),
			hint: fmt.Sprintf("revoke the tokens if somebody may have done so, and run 'chmod 600 %s'", path),
		}
	}
	text, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("reading the stored logins: %w", err)
	}
	return text, nil
}

// check says whether there is a place for the file.
func (c credentialFile) check() error {
	if c.path != "" {
		return nil
	}
	return &advisedError{
		err:  errors.New("there is no place to store a login in"),
		hint: "set HOME or XDG_CONFIG_HOME, or do without a login and set LATCHKEY_TOKEN",
	}
}

// save replaces the file at once: whoever reads it sees the old or the new
// one, also after a crash.
func (c credentialFile) save(what credentials) error {
	if err := c.check(); err != nil {
		return err
	}
	text, err := json.MarshalIndent(what, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the logins: %w", err)
	}
	folder := filepath.Dir(c.path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("storing the login: %w", err)
	}
	if err := replaceFile(c.path, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("storing the login: %w", err)
	}
	return nil
}

// replaceFile writes a file beside another and moves it there.
func replaceFile(path string, text []byte, mode fs.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".latchkey-*") // with mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(text); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil && runtime.GOOS != "windows" {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
