// Package sqlite keeps the server's data in one SQLite file.
//
// It is the store for a single node: WAL, synchronous FULL, one connection
// that writes and several that read beside it. Writes of callers that come
// together share one commit and so one fsync; a caller that is alone waits for
// nobody. Several processes may open the same file, on the same machine, but
// nothing tells one at once what another changed ([Store.Changed] is nil).
//
// The package holds SQL and what SQLite needs to be used well. What the data
// means is decided elsewhere; what a store promises is said in package store
// and tested by package storetest.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/store/schema"
)

// Memory as a path asks for a database that is gone when it is closed. It is
// a temporary file, so that it behaves like any other, written without fsync.
const Memory = ":memory:"

// Options says how to open a database.
type Options struct {
	// Path is the database file. It is made, for its owner alone, when it does
	// not exist; its folder must exist. It must be on a local file system.
	Path string

	// Readers is how many look-ups run at once, and listings as many again so
	// that long ones do not hold up the others; 0: one for each CPU, at least
	// 2 and at most 8.
	Readers int

	// Patience is how long a write waits for another process that writes;
	// 0: five seconds.
	Patience time.Duration

	// Committed is told of each commit that somebody waited for, and how many
	// callers shared it; nil: nobody is.
	Committed func(callers int)

	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: nowhere
}

// Store is an open database. Its methods may be called from several
// goroutines at once.
type Store struct {
	now     func() time.Time
	writer  *writer
	points  *pool // for look-ups of a few rows
	lists   *pool // for anything that may take long
	remove  func() error
	closing sync.Once
	closed  error
}

var _ store.Store = (*Store)(nil)

// Open opens the database and brings its schema up to date. It fails with
// [ErrExposed] when others than the owner have access to the file, and with
// [store.ErrNewerSchema] when a newer version of this program has used it.
func Open(ctx context.Context, o Options) (_ *Store, err error) {
	o.setDefaults()
	s := &Store{now: o.Now, remove: func() error { return nil }}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.release())
		}
	}()
	durable := "FULL"
	if o.Path == Memory {
		durable = "OFF"
		if o.Path, s.remove, err = temporary(); err != nil {
			return nil, err
		}
	}
	if o.Path, err = filepath.Abs(o.Path); err != nil {
		return nil, fmt.Errorf("find the database file: %w", err)
	}
	if err := private(o.Path); err != nil {
		return nil, err
	}
	if err := migrate(ctx, dsn(o, durable, false), schema.Latest, o.Log); err != nil {
		return nil, fmt.Errorf("open the database %s: %w", o.Path, err)
	}
	s.points = newPool(dsn(o, durable, true), o.Readers)
	s.lists = newPool(dsn(o, durable, true), o.Readers)
	if s.writer, err = newWriter(ctx, dsn(o, durable, false), o.Committed, o.Now, o.Log); err != nil {
		return nil, err
	}
	return s, nil
}

func (o *Options) setDefaults() {
	if o.Readers <= 0 {
		o.Readers = min(max(runtime.GOMAXPROCS(0), 2), 8)
	}
	if o.Patience <= 0 {
		o.Patience = 5 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Committed == nil {
		o.Committed = func(int) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// dsn names the file and how each connection to it is set up.
func dsn(o Options, durable string, readOnly bool) string {
	q := url.Values{"_pragma": {
		fmt.Sprintf("busy_timeout(%d)", o.Patience.Milliseconds()),
		"journal_mode(WAL)",
		fmt.Sprintf("synchronous(%s)", durable),
		"foreign_keys(ON)",
		"trusted_schema(OFF)",
		"temp_store(MEMORY)",
		"journal_size_limit(67108864)",
	}}
	if readOnly {
		q.Add("_pragma", "cache_size(-8192)") // KiB, taken as needed
		q.Add("_pragma", "query_only(ON)")
	} else {
		// Random keys touch many pages; the longer the log, the more often the
		// same page is in it and is copied back only once.
		q.Add("_pragma", "wal_autocheckpoint(8000)")
		q.Add("_pragma", "cache_size(-32768)")
	}
	path := url.URL{Path: filepath.ToSlash(o.Path)}
	return "file:" + path.EscapedPath() + "?" + q.Encode()
}

// Update implements [store.Updater].
func (s *Store) Update(ctx context.Context, fn func(store.Tx) error) error {
	return s.writer.update(ctx, func(t *tx) error { return fn(t) })
}

// Ping implements [store.Store]. It commits a write.
func (s *Store) Ping(ctx context.Context) error {
	return s.writer.do(ctx, func(t *tx) error {
		_, err := t.exec("probe the database", `UPDATE probe SET at = ?`, s.now().UnixMicro())
		return err
	})
}

// Close implements [store.Store]. Further calls of it give the same answer.
func (s *Store) Close() error {
	s.closing.Do(func() { s.closed = s.release() })
	return s.closed
}

// release closes what is open, the writer last, as the last connection folds
// the log into the database file.
func (s *Store) release() error {
	var errs []error
	if s.writer != nil {
		s.writer.stop()
	}
	if s.points != nil {
		errs = append(errs, s.points.close())
	}
	if s.lists != nil {
		errs = append(errs, s.lists.close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.disconnect())
	}
	if s.remove != nil {
		errs = append(errs, s.remove())
	}
	return errors.Join(errs...)
}

// Changed implements [store.ChangeReader]. SQLite has no such thing.
func (s *Store) Changed() <-chan struct{} { return nil }
