package guard

import (
	"github.com/latchkey-auth/latchkey/api"
)

// mostRecent bounds the changes that are remembered.
const mostRecent = 8192

// knowledge is what is known of the changes behind a position.
type knowledge int

const (
	nothingChanged   knowledge = iota
	somethingChanged           // a change that is about this token or its account
	notKnown                   // not all of them are remembered, or none was told yet
)

// recent remembers the last changes that were told, to tell whether an answer
// that comes in is older than one of them.
type recent struct {
	begun bool
	start int64 // the first in list is the one behind this number
	end   int64 // the number of the last
	list  []api.Change
}

// begin forgets all and goes on behind a position.
func (r *recent) begin(position int64) {
	r.begun, r.start, r.end, r.list = true, position, position, r.list[:0]
}

// add remembers a change. It returns false when it is not the next one, and
// begins anew then.
func (r *recent) add(c api.Change) bool {
	next := r.begun && c.Position == r.end+1
	if !next {
		r.begin(c.Position - 1)
	}
	if len(r.list) == 2*mostRecent { // cut in large pieces, so that it costs little
		r.list = append(r.list[:0], r.list[mostRecent:]...)
		r.start += mostRecent
	}
	r.list = append(r.list, c)
	r.end = c.Position
	return next
}

// behind tells whether any change behind a position is about an identity.
func (r *recent) behind(position int64, id Identity) knowledge {
	if !r.begun || position <= 0 {
		return notKnown
	}
	for i := len(r.list) - 1; i >= 0 && r.list[i].Position > position; i-- {
		switch c := r.list[i]; c.Kind {
		case api.ChangeToken:
			if c.Token == id.TokenID {
				return somethingChanged
			}
		case api.ChangeAccount:
			if c.Account == id.AccountID {
				return somethingChanged
			}
		default:
			return somethingChanged
		}
	}
	if position < r.start {
		return notKnown
	}
	return nothingChanged
}
