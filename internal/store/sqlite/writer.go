package sqlite

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"time"
)

// errSpoiled says that a transaction has writes of a caller that failed.
var errSpoiled = errors.New("a caller failed after it had written")

// maxBatch is how many callers share one commit at most. Past some dozens the
// fsync is a small part of the cost, and the first caller should not wait for
// ever longer.
const maxBatch = 128

// writer owns the only connection that writes. Its goroutine goes through the
// callers that wait, lends each of them the open transaction for the run of
// its function, then commits once for all and answers them.
//
// A function from outside runs on its caller's goroutine, so that what it
// captured, a panic in it and runtime.Goexit behave as anywhere else. The
// store's own are run by the writer, which saves two changes of goroutines.
//
// One that fails must not take the others along. Savepoints are what SQLite
// has for that, but they copy every page that is about to change, about a
// quarter of all work. Most functions that fail do so before they write. So
// the writer goes without savepoints until one fails that has written; then it
// rolls everything back and runs the others once more, behind savepoints.
type writer struct {
	dsn       string
	committed func(callers int)
	now       func() time.Time
	log       *slog.Logger

	gate    sync.RWMutex // held for reading while something is put into queue
	shut    bool         // guarded by gate
	queue   chan *ticket
	stopped chan struct{} // closed when the goroutine has ended

	// Used by the goroutine, and by the caller to which it lends.
	conn    *conn // nil when it was given up
	open    bool  // a transaction is open
	careful bool  // each caller of it is behind a savepoint
	crowded bool  // several shared the last transaction
}

func newWriter(ctx context.Context, dsn string, committed func(int), now func() time.Time, log *slog.Logger) (*writer, error) {
	w := &writer{
		dsn:       dsn,
		committed: committed,
		now:       now,
		log:       log,
		queue:     make(chan *ticket, 4*maxBatch),
		stopped:   make(chan struct{}),
	}
	var err error
	if w.conn, err = connect(ctx, dsn); err != nil {
		return nil, fault("open the database for writing", err)
	}
	go w.loop()
	return w, nil
}

// update runs fn in a turn of its own, or several, and returns when what it
// wrote is committed.
func (w *writer) update(ctx context.Context, fn func(*tx) error) error {
	return w.await(ctx, newTicket(), fn)
}

// do is update for a function that may run on the writer's goroutine, as it does
// not wait for anything.
func (w *writer) do(ctx context.Context, fn func(*tx) error) error {
	return w.await(ctx, newOwnTicket(fn), nil)
}

func (w *writer) await(ctx context.Context, t *ticket, fn func(*tx) error) error {
	if err := w.enqueue(ctx, t); err != nil {
		return err
	}
	ended := ctx.Done()
	for {
		select {
		case tx := <-t.turn:
			if wait, err := t.run(tx, fn); !wait {
				return err // the writer undoes what there is
			}
		case err := <-t.done:
			if t.panicked != nil {
				panic(t.panicked)
			}
			if err == nil {
				err = t.verdict
			}
			return err
		case <-ended:
			if t.state.CompareAndSwap(waiting, givenUp) {
				return fault("wait for the turn to write", ctx.Err())
			}
			if t.state.CompareAndSwap(ran, givenUp) {
				return fault("wait for the commit, whose outcome is not known", ctx.Err())
			}
			ended = nil // the writer was quicker and has something for us
		}
	}
}

func (w *writer) enqueue(ctx context.Context, t *ticket) error {
	w.gate.RLock()
	defer w.gate.RUnlock()
	if w.shut {
		return errClosed
	}
	if err := ctx.Err(); err != nil {
		return fault("write", err)
	}
	select {
	case w.queue <- t:
		return nil
	case <-ctx.Done():
		return fault("wait for the turn to write", ctx.Err())
	}
}

func (w *writer) loop() {
	defer close(w.stopped)
	batch := make([]*ticket, 0, maxBatch)
	for t := range w.queue {
		batch = w.batch(t, batch[:0])
		clear(batch)
	}
}

// batch serves first and all who wait behind it, in one transaction. It
// returns the ones that have been told the outcome.
func (w *writer) batch(first *ticket, batch []*ticket) []*ticket {
	w.careful = false
	err := w.gather(first, &batch)
	if errors.Is(err, errSpoiled) {
		w.careful = true
		err = w.again(&batch)
	}
	w.crowded = len(batch) > 1
	if err == nil && w.open {
		if err = w.commit(); err == nil {
			if n := successes(batch); n > 0 { // else all were refused, and nothing was written
				w.committed(n)
			}
		}
	}
	if err != nil {
		w.abandon(err)
	}
	for _, t := range batch {
		t.done <- err
	}
	return batch
}

// successes counts those who have something in the transaction.
func successes(batch []*ticket) (n int) {
	for _, t := range batch {
		if t.verdict == nil {
			n++
		}
	}
	return n
}

// gather serves first and all who wait, and keeps those who wait for the
// commit.
func (w *writer) gather(first *ticket, batch *[]*ticket) error {
	for t, n := first, 1; t != nil; n++ {
		keep, err := w.serve(t, waiting, len(*batch) > 0)
		if keep {
			*batch = append(*batch, t)
		}
		if err != nil {
			return err
		}
		if t = nil; n < maxBatch {
			t = w.next()
		}
	}
	return nil
}

// next returns somebody else who waits, nil when nobody does. Where many write
// it first lets those run who are about to ask, as they would have to wait for
// the commit after this one. Whoever writes alone is not held up by that.
func (w *writer) next() *ticket {
	t := w.poll()
	if t == nil && w.crowded {
		runtime.Gosched()
		t = w.poll()
	}
	return t
}

func (w *writer) poll() *ticket {
	select {
	case t := <-w.queue:
		return t
	default:
		return nil
	}
}

// again starts over with all of a batch whose transaction was spoiled.
func (w *writer) again(batch *[]*ticket) error {
	w.open = false
	if err := w.control("ROLLBACK"); err != nil {
		return err
	}
	all := *batch
	*batch = all[:0]
	for i, t := range all {
		keep, err := w.serve(t, ran, len(*batch) > 0)
		if keep {
			*batch = append(*batch, t)
		}
		if err != nil {
			*batch = append(*batch, all[i+1:]...)
			return err
		}
	}
	return nil
}

// serve lends the transaction to one caller and reports whether it waits for
// the outcome. The transaction is shared when others have used it before. An
// error means that it is lost for everybody.
func (w *writer) serve(t *ticket, state int32, shared bool) (bool, error) {
	if !t.state.CompareAndSwap(state, taken) {
		return false, nil // gone, or nothing to do with us any more
	}
	if err := w.begin(); err != nil {
		return true, err
	}
	tx := &tx{w: w, shared: shared}
	if w.lend(t, tx) {
		if tx.saved {
			return true, w.control("RELEASE caller")
		}
		return true, nil
	}
	waits := t.state.Load() != taken // or the caller has its answer, or has gone by a panic
	switch {
	case tx.saved:
		return waits, errors.Join(w.control("ROLLBACK TO caller"), w.control("RELEASE caller"))
	case tx.wrote || tx.err != nil:
		return waits, errSpoiled
	}
	return waits, nil
}

// lend gives a caller its turn and reports whether there is something to commit.
func (w *writer) lend(t *ticket, tx *tx) bool {
	if t.own != nil {
		return t.runOwn(tx)
	}
	t.turn <- tx
	return <-t.back
}

// begin opens the transaction. IMMEDIATE takes the write lock at once, so that
// what is read in it cannot be changed by another process before the write.
func (w *writer) begin() error {
	if w.open {
		return nil
	}
	if w.conn == nil {
		var err error
		if w.conn, err = connect(context.Background(), w.dsn); err != nil {
			return fault("open the database for writing", err)
		}
	}
	if err := w.control("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	w.open = true
	return nil
}

func (w *writer) commit() error {
	if err := w.control("COMMIT"); err != nil {
		return err
	}
	w.open = false
	return nil
}

// abandon gets rid of a transaction that failed as a whole. The connection
// goes with it: what state it is in is not worth guessing.
func (w *writer) abandon(cause error) {
	w.log.Error("a transaction was lost", "cause", cause)
	if w.open {
		// It may be rolled back already, which is fine.
		_ = w.control("ROLLBACK")
		w.open = false
	}
	if err := w.disconnect(); err != nil {
		w.log.Warn("the connection for writing did not close", "cause", err)
	}
}

func (w *writer) disconnect() error {
	if w.conn == nil {
		return nil
	}
	err := w.conn.close()
	w.conn = nil
	return err
}

// control runs a statement that begins or ends something.
func (w *writer) control(statement string) error {
	_, err := w.conn.exec(statement, nil)
	return fault(statement, err)
}

// stop takes no more callers and waits for those under way.
func (w *writer) stop() {
	w.gate.Lock()
	if !w.shut {
		w.shut = true
		close(w.queue)
	}
	w.gate.Unlock()
	<-w.stopped
}
