package sqlite

import "sync/atomic"

// ticket is one caller's place in the writer's queue.
type ticket struct {
	state atomic.Int32
	turn  chan *tx   // the transaction, lent
	back  chan bool  // given back; true when there is something to commit
	done  chan error // what became of the transaction

	// own is the function of a caller who leaves it to the writer to run it;
	// nil where the transaction is lent. panicked is what it panicked with.
	own      func(*tx) error
	panicked any

	// verdict is what the function said: nil, or why it failed because of what
	// it found. It is the answer once the transaction is committed.
	verdict error
}

// States of a ticket. Whoever changes one into another decides what comes.
const (
	waiting int32 = iota
	taken         // the writer has lent the transaction, or is about to
	ran           // the function has said what it found; the commit is to come
	givenUp       // the caller has gone
)

// newTicket returns a place for a caller to whom the transaction is lent.
func newTicket() *ticket {
	return &ticket{turn: make(chan *tx, 1), back: make(chan bool, 1), done: make(chan error, 1)}
}

// newOwnTicket returns a place for a function that the writer runs itself.
func newOwnTicket(fn func(*tx) error) *ticket {
	return &ticket{done: make(chan error, 1), own: fn}
}

// run is a caller's turn: it runs fn and gives the transaction back, also when
// fn panics. It reports whether the caller has to wait for the outcome.
func (t *ticket) run(tx *tx, fn func(*tx) error) (wait bool, err error) {
	good := false
	defer func() {
		tx.over = true
		t.back <- good
	}()
	good, wait, err = t.judge(tx, fn(tx))
	return wait, err
}

// runOwn is the turn of a caller's own function. It reports whether there is
// something to commit, and tells the caller the outcome if there is nothing to
// wait for.
func (t *ticket) runOwn(tx *tx) (good bool) {
	defer func() {
		tx.over = true
		if p := recover(); p != nil {
			t.panicked = p // the caller goes on with it
			t.done <- nil
		}
	}()
	good, wait, err := t.judge(tx, t.own(tx))
	if !wait {
		t.done <- err
	}
	return good
}

// judge says what a function's outcome means: whether there is something to
// commit, and whether the caller has to wait for that.
//
// That is so for a failure too, where others have written to the transaction
// before: the function may have failed because of something that is not
// committed and, if the commit fails, was never so.
func (t *ticket) judge(tx *tx, err error) (good, wait bool, _ error) {
	if err == nil {
		err = tx.err // which the function did not pass on
	}
	good = err == nil
	if good || tx.shared && tx.err == nil {
		t.verdict = err
		t.state.Store(ran)
		return good, true, nil
	}
	return false, false, err
}
