package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/latchkey-auth/latchkey/internal/pgtest/proctest"
)

// ErrNotInstalled is returned, wrapped, when a PostgreSQL program is not on this machine. Its text says how to get it.
var ErrNotInstalled = errors.New("PostgreSQL was found neither in PATH nor in /usr/lib/postgresql; " +
	"on Debian: apt-get install postgresql")

const superuser = "postgres"

// Tool returns the path of a program of PostgreSQL, such as "pg_dump": the newest version of Debian's versioned folders,
// or what PATH names if there are none. It returns ErrNotInstalled when there is none.
func Tool(name string) (string, error) {
	// Debian's wrappers in PATH (pg_dump and the like) pick a version by the clusters that are set up on the machine,
	// which a test must not depend on. So the folders come first.
	found, _ := filepath.Glob(filepath.Join("/usr/lib/postgresql", "*", "bin", name))
	if len(found) > 0 {
		return slices.MaxFunc(found, func(a, b string) int { return major(a) - major(b) }), nil
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, ErrNotInstalled)
	}
	return path, nil
}

// major reads the version out of /usr/lib/postgresql/<version>/bin/<name>.
func major(tool string) int {
	version, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(tool))))
	return version
}

// initializer makes and runs a cluster in a folder.
type initializer struct {
	initdb, postgres string
	data, log        string
	env              []string
	user             *proctest.User
}

func newInitializer(folder *proctest.Folder) (*initializer, error) {
	i := &initializer{
		data: folder.Join("server", "data"),
		log:  logPath(folder),
		env:  []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TZ=UTC"},
		user: proctest.Unprivileged(superuser, "nobody"), // initdb and postgres refuse to run as root
	}
	var err error
	if i.initdb, err = Tool("initdb"); err != nil {
		return nil, err
	}
	if i.postgres, err = Tool("postgres"); err != nil {
		return nil, err
	}
	if err := os.Mkdir(filepath.Dir(i.data), 0o700); err != nil {
		return nil, err
	}
	if i.user == nil {
		return i, nil
	}
	if err := os.Chmod(folder.Path, 0o711); err != nil { // so that the other user can pass through
		return nil, err
	}
	return i, os.Chown(filepath.Dir(i.data), int(i.user.UID), int(i.user.GID))
}

// run makes the cluster. Its superuser has to give the password even on loopback: whoever is superuser can start
// programs as the user that the server runs as.
func (i *initializer) run(ctx context.Context, password string) error {
	passwordFile := filepath.Join(filepath.Dir(i.data), "password")
	if err := os.WriteFile(passwordFile, []byte(password+"\n"), 0o600); err != nil {
		return err
	}
	defer os.Remove(passwordFile)
	if i.user != nil {
		if err := os.Chown(passwordFile, int(i.user.UID), int(i.user.GID)); err != nil {
			return err
		}
	}
	_, _, err := proctest.Run(ctx, proctest.Spec{
		Name: "initdb", Path: i.initdb, Env: i.env, User: i.user, Dir: filepath.Dir(i.data),
		Args: []string{
			"--pgdata=" + i.data, "--username=" + superuser, "--pwfile=" + passwordFile,
			"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync",
		},
	})
	return err
}

// server starts the server. It listens on loopback only, and on no Unix socket: the path of one in a temporary folder
// can be too long.
func (i *initializer) server(port int, opts Options) (*proctest.Process, error) {
	settings := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"port":                    strconv.Itoa(port),
		"unix_socket_directories": "",
		"lc_messages":             "C",
		"shared_buffers":          "32MB",
		"max_connections":         "100",
		"logging_collector":       "off",
	}
	if !opts.Durable {
		settings["fsync"] = "off"
		settings["synchronous_commit"] = "off"
		settings["full_page_writes"] = "off"
	}
	for name, value := range opts.Settings {
		settings[name] = value
	}
	args := []string{"-D", i.data}
	for name, value := range settings {
		args = append(args, "-c", name+"="+value)
	}
	return proctest.Start(proctest.Spec{
		Name: "postgres", Path: i.postgres, Args: args, Env: i.env, User: i.user,
		Dir: filepath.Dir(i.data), LogPath: i.log, DeathSignal: syscall.SIGQUIT,
	})
}
