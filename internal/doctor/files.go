package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// What others than the owner may not do with a file.
const (
	ownersAlone fs.FileMode = 0o077
	lentToGroup fs.FileMode = 0o037
	notForAll   fs.FileMode = 0o007
	notWritable fs.FileMode = 0o022
)

// file is one that the server leans on.
type file struct {
	what, path string
	forbidden  fs.FileMode
	chmod      string // what makes it right
	owned      bool   // by whoever owns the data folder
}

// files looks at who can read and replace what the server leans on (S76), and
// at the room there is for it.
func files(_ context.Context, x *examination) []Finding {
	owner := ownerOf(x.Config.Data)
	var list []Finding
	seen := 0
	for _, f := range x.leanedOn() {
		info, err := os.Stat(f.path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		seen++
		if err != nil {
			list = append(list, Finding{
				Level: Warning, Seen: fmt.Sprintf("%s %s cannot be looked at: %v", f.what, f.path, reasonOf(err)),
				Why: "nothing is known about who can read it", Where: atCommand, Fix: []string{"sudo latchkey doctor"},
			})
			continue
		}
		list = append(list, f.exposed(info)...)
		if o := ownerIn(info); f.owned && owner != "" && o != "" && o != owner {
			list = append(list, Finding{
				Level: Warning, Seen: fmt.Sprintf("%s %s belongs to the user %s, and the folder to %s", f.what, f.path, o, owner),
				Why: "a server that runs as the folder's owner cannot use it", Where: atCommand, Fix: []string{fmt.Sprintf("chown %s %s", owner, f.path)},
			})
		}
		list = append(list, replaceable(f.path)...)
	}
	list = append(list, room(x.Config.Data)...)
	switch {
	case len(list) > 0:
	case seen == 0:
		list = append(list, fine("there are no files yet, and there is room for them"))
	default:
		list = append(list, fine("%d files and folders are accessible to those alone who need them, and there is room on the disk", seen))
	}
	return list
}

// leanedOn lists the files.
func (x *examination) leanedOn() []file {
	c := x.Config
	data := func(name string) string { return filepath.Join(c.Data, name) }
	db := strings.TrimPrefix(c.Database.Reveal(), "sqlite:")
	if db == "" {
		db = data("latchkey.db")
	}
	list := []file{
		{"the data folder", c.Data, 0o077, "700", false},
		{"the server's secret", orElse(c.SecretFile, data("server.key")), ownersAlone, "600", c.SecretFile == ""},
		{"the counts of failed logins", data("throttle.state"), ownersAlone, "600", true},
		{"the configuration", x.ConfigFile, notWritable, "go-w", false},
		{"the certificate", c.TLS.Cert, notWritable, "go-w", false},
		{"the certificate's key", c.TLS.Key, lentToGroup, "600", false},
		{"the database's address", c.DatabaseFile, notForAll | notWritable, "o=,g-w", false},
		{"the administrator's password", c.AdminPasswordFile, notForAll | notWritable, "o=,g-w", false},
		{"the address of Django's database", c.Sources.Django.DSNFile, notForAll | notWritable, "o=,g-w", false},
		{"the collector's password", c.Traces.AuthorizationFile, notForAll | notWritable, "o=,g-w", false},
	}
	if !strings.Contains(db, "://") {
		for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
			list = append(list, file{"the database", db + suffix, ownersAlone, "600", true})
		}
	}
	named := list[:0]
	for _, f := range list {
		if f.path != "" {
			named = append(named, f)
		}
	}
	return named
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// exposed reports bits of the mode that should not be there.
func (f file) exposed(info fs.FileInfo) []Finding {
	bad := info.Mode().Perm() & f.forbidden
	if bad == 0 {
		return nil
	}
	level, why := Problem, "others on this machine can read it"
	switch {
	case bad&notWritable != 0 && info.IsDir():
		why = "others can put files of their own in the place of the server's"
	case bad&notWritable != 0:
		why = "others can change it"
	case info.IsDir():
		level, why = Warning, "others can see what is in it; the files themselves are looked at one by one"
	}
	return []Finding{{
		Level: level, Seen: fmt.Sprintf("%s %s has mode %04o", f.what, f.path, info.Mode().Perm()), Why: why,
		Where: atCommand, Fix: []string{fmt.Sprintf("chmod %s %s", f.chmod, f.path)},
	}}
}

// replaceable looks for a folder above in which everybody can rename things.
func replaceable(path string) []Finding {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil
	}
	for dir := filepath.Dir(abs); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err == nil && info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0 {
			return []Finding{{
				Level: Problem, Seen: fmt.Sprintf("everybody can rename what is in %s, which %s is below", dir, abs),
				Why: "a file can be replaced by whoever can rename it or its folder", Where: atCommand, Fix: []string{"chmod o-w " + dir},
			}}
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

// room looks at the disk that the data folder is on, or will be.
func room(folder string) []Finding {
	for !isFolder(folder) && folder != filepath.Dir(folder) {
		folder = filepath.Dir(folder)
	}
	d, known := diskOf(folder)
	if !known {
		return nil
	}
	const mib = 1 << 20
	switch {
	case d.readOnly:
		return []Finding{{
			Level: Problem, Seen: folder + " is on a file system that is mounted read-only",
			Why: "the server cannot write there: it refuses changes, and does not start", Where: atCommand, Fix: []string{"mount -o remount,rw " + folder},
		}}
	case d.free < 100*mib:
		return []Finding{lowDisk(Problem, folder, d.free/mib)}
	case d.free < 1024*mib && d.free < d.total/10:
		return []Finding{lowDisk(Warning, folder, d.free/mib)}
	}
	return nil
}

func lowDisk(level Level, folder string, free uint64) Finding {
	return Finding{
		Level: level, Seen: fmt.Sprintf("%d MiB are free on the disk of %s", free, folder),
		Why: "on a full disk every change is refused until there is room again", Where: inConfig, Fix: []string{"audit: {keep: 90d}   # or give the disk room"},
	}
}

// disk is what is known about a file system, in bytes.
type disk struct {
	free, total uint64
	readOnly    bool
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// reasonOf is an error without the path, which is said beside it.
func reasonOf(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// ownerOf returns who owns a folder; "" if that is not known.
func ownerOf(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	return ownerIn(info)
}
