// Package backup writes all that a server keeps in its database into one file,
// and puts such a file into a database, of the same kind or of the other.
//
// The file is gzip'd text: a header, the rows of each table, and a trailer
// with the counts and a digest, sealed under the server's secret, so that a
// file that was cut, damaged or edited is refused before anything is written.
// It holds what the database holds and no more: digests of tokens and hashes of
// passwords, never a secret, and not the server's own.
//
// What a database consists of is known by the stores (see package portable);
// where files are kept and who may do this is the caller's matter.
package backup

import (
	"errors"
	"time"
)

var (
	// ErrNoBackup says that a file is no backup at all.
	ErrNoBackup = errors.New("this is no backup of Latchkey")

	// ErrDamaged says that a backup was cut off or changed.
	ErrDamaged = errors.New("the backup is damaged")

	// ErrForeign says that a backup was made under a server secret that is not
	// at hand, so that nothing is known about who wrote it, and no token in it
	// would be recognised.
	ErrForeign = errors.New("the backup was made under another server secret, or was changed")

	// ErrNewerFormat says that a newer version of this program made a backup.
	ErrNewerFormat = errors.New("the backup was made by a newer version")

	// ErrNotEmpty says that a restore would overwrite something.
	ErrNotEmpty = errors.New("the database is not empty")

	// ErrOlder says that a state whose revocations were to be carried over is
	// older than the backup, or belongs to another server.
	ErrOlder = errors.New("this is no later state of the same server's data")

	// ErrNoDatabase says that there is nothing to back up.
	ErrNoDatabase = errors.New("no server has used this database yet")
)

// format is the version of the file's form.
const format = 1

// Header is what a backup says about itself.
type Header struct {
	Format   int       `json:"latchkey_backup"`
	Taken    time.Time `json:"taken"`
	Schema   int64     `json:"schema"`   // the version of the database's schema
	Position int64     `json:"position"` // the number of the newest change
	Secrets  []string  `json:"secrets"`  // ids of the server secrets that the data is under
	Program  string    `json:"program"`  // the version that made it
}

// tableLine begins a table; its rows follow.
type tableLine struct {
	Table   string   `json:"table"`
	Columns []string `json:"columns"`
}

// trailer ends a backup.
type trailer struct {
	Rows map[string]int64 `json:"rows"` // by table

	// Digest is the SHA-256 of everything before, in hexadecimal; Seal is the
	// same once more under the server's secret.
	Digest string `json:"sha256"`
	Seal   string `json:"seal"`
}

// purpose is what the digest is sealed for.
const purpose = "backup"

// Summary says what was written.
type Summary struct {
	Header

	Rows map[string]int64 `json:"rows"` // by table
}
