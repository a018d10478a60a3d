package sqlite

import "sync/atomic"

// ticket is one caller's place in the writer's queue.
type ticket struct {
	state atomic.Int32
	turn  chan *tx   // the transaction, lent
	back  chan bool  // given back; true when there is something to commit
	done  chan error // what became of the transaction

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

func newTicket() *ticket {
	return &ticket{turn: make(chan *tx, 1), back: make(chan bool, 1), done: make(chan error, 1)}
}

// run is a caller's turn: it runs fn and gives the transaction back, also when
// fn panics. It reports whether the caller has to wait for the outcome.
//
// That is so for a failure too, where others have written to the transaction
// before: fn may have failed because of something that is not committed and, if
// the commit fails, was never so.
func (t *ticket) run(tx *tx, fn func(*tx) error) (wait bool, err error) {
	good := false
	defer func() {
		tx.over = true
		t.back <- good
	}()
	err = fn(tx)
	if err == nil {
		err = tx.err // which fn did not pass on
	}
	good = err == nil
	if good || tx.shared && tx.err == nil {
		t.verdict = err
		t.state.Store(ran)
		return true, nil
	}
	return false, err
}
