package throttle

import (
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/text/unicode/norm"
)

// Options says what Logins allows. The zero value is good: each zero Rate is
// replaced by the one that is named beside it.
type Options struct {
	Pair    Rate // one account from one address; 5, then one per 30 s
	Address Rate // one address, whatever the account; 30, then one per 2 s
	Account Rate // one account from all untrusted addresses; 50, then one per 10 s
	Narrow  Rate // as Pair, once Account is spent; 1, then one per minute

	TrustedBurst int // the burst of Pair where the address is trusted; four times that of Pair, and never less than it

	Trust time.Duration // how long a success makes an address trusted; 30 days if zero
	Max   int           // entries of each table, and four times the accounts with trusted addresses; 65536 if zero
	Now   func() time.Time
}

func (o Options) withDefaults() Options {
	for _, rate := range []struct {
		to    *Rate
		value Rate
	}{
		{&o.Pair, Rate{5, 30 * time.Second}},
		{&o.Address, Rate{30, 2 * time.Second}},
		{&o.Account, Rate{50, 10 * time.Second}},
		{&o.Narrow, Rate{1, time.Minute}},
	} {
		if *rate.to == (Rate{}) {
			*rate.to = rate.value
		}
	}
	if o.TrustedBurst <= 0 {
		o.TrustedBurst = 4 * o.Pair.Burst
	}
	o.TrustedBurst = max(o.TrustedBurst, o.Pair.Burst)
	if o.Trust <= 0 {
		o.Trust = 30 * 24 * time.Hour
	}
	if o.Max <= 0 {
		o.Max = 1 << 16
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Logins throttles guessing of passwords and codes. Each attempt is charged
// before it is made, so that a thousand at once cannot pass before the first
// has failed, and is given back when it was no failure.
//
// An account cannot be locked: when strangers have spent its budget, each
// address that is not trusted still gets the narrow rate, and one from which
// the account has logged in lately is trusted and does not notice at all.
// Its methods may be called from several goroutines.
type Logins struct {
	opts   Options
	tables atomic.Pointer[tables] // replaced as a whole by Restore

	refusedByAddress, refusedByAccount atomic.Int64
}

type tables struct {
	seed                           seed
	pair, address, account, narrow *Limiter
	trusted                        *trusted
}

// New makes a Logins.
func New(opts Options) *Logins {
	l := &Logins{opts: opts.withDefaults()}
	l.tables.Store(l.newTables(newSeed()))
	return l
}

func (l *Logins) newTables(s seed) *tables {
	table := func(rate Rate) *Limiter {
		return newLimiter(rate, LimiterOptions{Max: l.opts.Max, Now: l.opts.Now}, s)
	}
	return &tables{
		seed:    s,
		pair:    table(Rate{l.opts.TrustedBurst, l.opts.Pair.Every}),
		address: table(l.opts.Address),
		account: table(l.opts.Account),
		narrow:  table(l.opts.Narrow),
		trusted: newTrusted(max(l.opts.Max/4, 1), l.opts.Trust),
	}
}

// Begin asks whether somebody at addr may try to log in to account. If so, it
// returns an Attempt, which the caller ends by one of its methods. If not, the
// Attempt is nil and the duration says when to come back, as for the header
// Retry-After (RFC 9110 section 10.2.3).
//
// The account is what was typed, known or not; names that differ only by case,
// by outer space or by Unicode compatibility count as one, since a source may
// take them as one. The address is an IP address with or without a port. An
// IPv6 address stands for its /64 network, which is what one customer has.
func (l *Logins) Begin(account, addr string) (*Attempt, time.Duration) {
	t := l.tables.Load()
	account, addr = fold(account), network(addr)
	a := &Attempt{now: l.opts.Now, tables: t, account: t.seed.key(account), address: t.seed.key(addr)}
	pair := t.seed.key(account, addr)

	wait := a.charge(t.address, a.address)
	trusted := t.trusted.has(a.account, a.address, l.opts.Now())
	burst := l.opts.Pair.Burst
	if trusted {
		burst = l.opts.TrustedBurst // for programs that log in several times at the same moment
	}
	if wait == 0 {
		wait = a.chargeUpTo(t.pair, pair, burst)
	}
	if wait == 0 && !trusted {
		if wait = a.charge(t.account, a.account); wait > 0 {
			wait = a.charge(t.narrow, pair)
		}
	}
	if wait > 0 {
		if a.count == 0 {
			l.refusedByAddress.Add(1)
		} else {
			l.refusedByAccount.Add(1)
		}
		a.Abandoned()
		return nil, wait
	}
	return a, 0
}

// Stats is what a Logins remembers and what it has refused since it was made.
type Stats struct {
	RefusedByAddress int64 // too many from one address, whatever the account
	RefusedByAccount int64 // too many for one account, from one address or from all
	Entries          int   // addresses, accounts and pairs of them that have failures
}

// Stats returns the counts.
func (l *Logins) Stats() Stats {
	t := l.tables.Load()
	return Stats{
		RefusedByAddress: l.refusedByAddress.Load(), RefusedByAccount: l.refusedByAccount.Load(),
		Entries: t.pair.Len() + t.address.Len() + t.account.Len() + t.narrow.Len(),
	}
}

// Attempt is one login that was let through to the check of its password. Of
// its methods the first that is called counts; an Attempt that is dropped has
// failed.
type Attempt struct {
	now              func() time.Time
	tables           *tables
	account, address key
	charges          [3]Charge
	count            int
	ended            atomic.Bool
}

func (a *Attempt) charge(l *Limiter, k key) time.Duration {
	return a.chargeUpTo(l, k, l.rate.Burst)
}

func (a *Attempt) chargeUpTo(l *Limiter, k key, burst int) time.Duration {
	c, wait := l.takeUpTo(k, burst)
	if wait == 0 {
		a.charges[a.count] = c
		a.count++
	}
	return wait
}

// Succeeded gives back what the attempt was charged and makes the address
// trusted for the account. What others failed stays charged.
func (a *Attempt) Succeeded() {
	if a.giveBack() {
		a.tables.trusted.add(a.account, a.address, a.now())
	}
}

// Failed keeps the charge: the password was wrong.
func (a *Attempt) Failed() { a.ended.Store(true) }

// Abandoned gives back the charge, because nobody has learnt whether the
// password is right: the store was down, the server busy, the caller gone.
func (a *Attempt) Abandoned() { a.giveBack() }

func (a *Attempt) giveBack() bool {
	if a.ended.Swap(true) {
		return false
	}
	for _, c := range a.charges {
		c.Return()
	}
	return true
}

// fold makes one text of the names that a source of accounts may take for one.
// Django folds by NFKC, some directories by case, form fields by space. What
// is too long for a name is left as it is: it is nobody's.
func fold(account string) string {
	if len(account) > 1024 {
		return account
	}
	return strings.TrimSpace(strings.ToLower(norm.NFKC.String(account)))
}

// network returns the part of an address that its user cannot change at will.
// A text that is no address stands for itself.
func network(addr string) string {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		withPort, err := netip.ParseAddrPort(addr)
		if err != nil {
			return addr
		}
		ip = withPort.Addr()
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	prefix, err := ip.Prefix(64)
	if err != nil {
		return addr
	}
	return prefix.String()
}
