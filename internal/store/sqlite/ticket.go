package sqlite

import "sync/atomic"

// ticket is one caller's place in the writer's queue.
type ticket struct {
	state atomic.Int32
	turn  chan *tx   // the transaction, lent
	back  chan bool  // given back; true when there is something to commit
	done  chan error // what became of it
}

// States of a ticket. Whoever changes one into another decides what comes.
const (
	waiting int32 = iota
	taken         // the writer has lent the transaction, or is about to
	ran           // the function has succeeded; the commit is to come
	givenUp       // the caller has gone
)

func newTicket() *ticket {
	return &ticket{turn: make(chan *tx, 1), back: make(chan bool, 1), done: make(chan error, 1)}
}

// run is a caller's turn: it runs fn and gives the transaction back, also when
// fn panics.
func (t *ticket) run(tx *tx, fn func(*tx) error) error {
	good := false
	defer func() {
		tx.over = true
		t.back <- good
	}()
	if err := fn(tx); err != nil {
		return err
	}
	if tx.err != nil { // fn did not pass on what went wrong
		return tx.err
	}
	good = true
	t.state.Store(ran)
	return nil
}
