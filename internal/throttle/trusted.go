package throttle

import (
	"container/list"
	"sync"
	"time"
)

// perAccount bounds the trusted addresses of one account. It keeps somebody
// with one valid account and many addresses from pushing out what is known of
// all others.
const perAccount = 16

// trusted remembers from where accounts have logged in, for a bounded number
// of accounts, the latest ones.
type trusted struct {
	mu       sync.Mutex
	accounts map[key]*list.Element
	order    list.List // of *known, the latest success first
	max      int
	lasts    int64 // ns
}

// known is what is remembered of one account, the latest success first.
type known struct {
	account   key
	addresses []seen
}

type seen struct {
	address key
	at      int64 // ns since 1970
}

func newTrusted(max int, lasts time.Duration) *trusted {
	return &trusted{accounts: make(map[key]*list.Element), max: max, lasts: int64(lasts)}
}

func (t *trusted) has(account, address key, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, found := t.accounts[account]
	if !found {
		return false
	}
	for _, s := range e.Value.(*known).addresses {
		if s.address == address {
			return now.UnixNano()-s.at < t.lasts
		}
	}
	return false
}

func (t *trusted) add(account, address key, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, found := t.accounts[account]
	if !found {
		for len(t.accounts) >= t.max || t.stale(t.order.Back(), now) {
			last := t.order.Back()
			delete(t.accounts, last.Value.(*known).account)
			t.order.Remove(last)
		}
		e = t.order.PushFront(&known{account: account})
		t.accounts[account] = e
	}
	t.order.MoveToFront(e)
	k := e.Value.(*known)
	kept := make([]seen, 1, min(len(k.addresses)+1, perAccount))
	kept[0] = seen{address, now.UnixNano()}
	for _, s := range k.addresses {
		if s.address != address && len(kept) < perAccount && now.UnixNano()-s.at < t.lasts {
			kept = append(kept, s)
		}
	}
	k.addresses = kept
}

// stale reports whether no address of an account counts any more.
func (t *trusted) stale(e *list.Element, now time.Time) bool {
	return e != nil && now.UnixNano()-e.Value.(*known).addresses[0].at >= t.lasts
}

// entries returns a copy of all, the earliest first: adding them in this order
// makes the same table again.
func (t *trusted) entries() []pairSeen {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []pairSeen
	for e := t.order.Back(); e != nil; e = e.Prev() {
		k := e.Value.(*known)
		for i := len(k.addresses) - 1; i >= 0; i-- {
			all = append(all, pairSeen{k.account, k.addresses[i]})
		}
	}
	return all
}

type pairSeen struct {
	account key
	seen
}
