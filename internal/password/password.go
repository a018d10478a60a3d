// Package password hashes and checks the passwords of people. New hashes are
// Argon2id in the PHC string format; hashes that Django or an htpasswd file
// made are checked as well, so that accounts can be taken over as they are.
//
// A password hash is slow and hungry on purpose, so all of them go through a
// Pool that bounds how many run, how much memory they take together and how
// many callers wait: a flood of logins is answered with ErrBusy instead of
// taking the machine.
//
// The package is not for tokens and other machine secrets, which are long
// random strings and need no slow hash. It stores nothing, counts no
// failures and knows no accounts.
package password

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"
)

// MaxLength is the longest password, in bytes, that is hashed or can match.
// A longer one is refused as a whole; nothing is ever cut off.
const MaxLength = 1024

var (
	// ErrBusy is returned when as many callers wait for a hash as the Pool
	// lets wait. Nothing was checked; the caller may try again later.
	ErrBusy = errors.New("password: too many hashes are waiting")
	// ErrUnusable is returned for a stored hash that no password can match:
	// empty, marked as unusable, malformed, of an unknown kind, or asking for
	// more work than the limits allow. No work was done for it, so a caller
	// that must not show the difference calls Pool.Waste.
	ErrUnusable = errors.New("password: the stored hash is not usable")
)

// Options says how a Pool hashes and what it may use. The zero value is good.
type Options struct {
	Memory  uint32 // of a new hash, in KiB; 19456 (19 MiB) if zero
	Passes  uint32 // of a new hash; 2 if zero
	Threads uint8  // of a new hash; 1 if zero

	Parallel int   // hashes at once; GOMAXPROCS if zero
	Queue    int   // callers waiting at most; 64 if zero, none if negative
	Budget   int64 // bytes that hashes may take together; 512 MiB if zero
	Limits   Limits
}

// Pool hashes and checks passwords, a bounded number at a time. Its methods
// may be called from several goroutines.
type Pool struct {
	own    argon2Hash // the parameters of new hashes; salt and digest are empty
	limits Limits
	queue  *queue
}

// New makes a Pool. It fails when the parameters for new hashes make no sense
// or are beyond the limits for stored ones.
func New(opts Options) (*Pool, error) {
	setDefault(&opts.Memory, 19*1024)
	setDefault(&opts.Passes, 2)
	setDefault(&opts.Threads, 1)
	setDefault(&opts.Parallel, runtime.GOMAXPROCS(0))
	setDefault(&opts.Queue, 64)
	setDefault(&opts.Budget, 512<<20)
	p := &Pool{
		own:    argon2Hash{variant: "argon2id", m: opts.Memory, t: opts.Passes, p: opts.Threads},
		limits: opts.Limits.withDefaults(),
	}
	// A hash that alone takes more than the budget could never be let in.
	p.limits.Memory = min(p.limits.Memory, opts.Budget/1024)
	if opts.Parallel < 0 || opts.Budget < 0 {
		return nil, fmt.Errorf("password: %d hashes in %d bytes at once: neither may be negative", opts.Parallel, opts.Budget)
	}
	if err := p.own.check(p.limits); err != nil {
		return nil, fmt.Errorf("password: parameters for new hashes (%s): %v", p.own.kind(), err)
	}
	p.queue = &queue{slots: opts.Parallel, memory: opts.Budget, room: max(opts.Queue, 0)}
	return p, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Result is the outcome of checking a password.
type Result struct {
	OK     bool // the password is the right one
	Rehash bool // it is, and the stored hash should be replaced by a new one
}

// Hash makes the string to store for password, with a fresh salt. It refuses
// an empty password and one longer than MaxLength with ErrTooShort and
// ErrTooLong; the other rules for new passwords are CheckNew's. Further
// errors are ErrBusy and those of ctx.
func (p *Pool) Hash(ctx context.Context, password string) (string, error) {
	switch {
	case password == "":
		return "", ErrTooShort
	case len(password) > MaxLength:
		return "", ErrTooLong
	}
	h := p.own
	h.salt = random(saltLength)
	if err := p.queue.enter(ctx, h.memory()); err != nil {
		return "", err
	}
	defer p.queue.leave(h.memory())
	h.digest = h.derive([]byte(password), digestLength)
	return h.String(), nil
}

// Verify tells whether password belongs to the stored hash encoded. A wrong
// password is a Result without OK and no error. An empty password, or one
// longer than MaxLength, never matches but costs what any other would, so
// that the time says nothing about the account. Errors are ErrUnusable,
// ErrBusy and those of ctx; a hash that has begun is finished.
func (p *Pool) Verify(ctx context.Context, encoded, password string) (Result, error) {
	h, err := parse(encoded, p.limits)
	if err != nil {
		return Result{}, err
	}
	if err := p.queue.enter(ctx, h.memory()); err != nil {
		return Result{}, err
	}
	defer p.queue.leave(h.memory())
	possible := password != "" && len(password) <= MaxLength
	if !h.matches([]byte(password[:min(len(password), MaxLength)])) || !possible {
		return Result{}, nil
	}
	return Result{OK: true, Rehash: !p.current(encoded, h)}, nil
}

// current reports whether h is what Hash would make today.
func (p *Pool) current(encoded string, h hash) bool {
	a, ok := h.(argon2Hash)
	return ok && strings.HasPrefix(encoded, "$") && a.kind() == p.own.kind() &&
		len(a.salt) == saltLength && len(a.digest) == digestLength
}

// Waste spends the time and the memory that Verify would spend on the stored
// hash like, and matches nothing. It is for logins under names that do not
// exist, so that they take as long as the others. Where like is not usable,
// the cost is that of this Pool's own hashes. Errors are ErrBusy and those of
// ctx: a caller must answer them as it answers them from Verify.
func (p *Pool) Waste(ctx context.Context, like string) error {
	_, err := p.Verify(ctx, p.Dummy(like), "a password that is nobody's")
	return err
}

// Dummy makes a well-formed stored hash of the same algorithm and cost as
// like, or as this Pool's own where like is not usable. Its salt and digest
// are random, so that no known password matches it.
func (p *Pool) Dummy(like string) string {
	if h, err := parse(like, p.limits); err == nil {
		return h.dummy()
	}
	return p.own.dummy()
}

// Kind names the algorithm and the cost of a stored hash, such as
// "pbkdf2_sha256 600000", without anything of its salt or digest: two hashes
// of one kind cost the same. The error is ErrUnusable.
func (p *Pool) Kind(encoded string) (string, error) {
	h, err := parse(encoded, p.limits)
	if err != nil {
		return "", err
	}
	return h.kind(), nil
}

// Own reports whether a stored hash is of the algorithm that a Pool makes its own
// by, at whatever cost.
func (p *Pool) Own(encoded string) bool { return strings.HasPrefix(encoded, "$argon2id$") }

// Load tells how many hashes run and how many callers wait at this moment.
func (p *Pool) Load() (running, waiting int) { return p.queue.load() }

// Stats is how busy a Pool is, and what it has done since it was made.
type Stats struct {
	Running, Waiting int           // now
	Entered          int64         // hashes that were begun
	Refused          int64         // callers that were told [ErrBusy]
	GaveUp           int64         // callers whose context ended while they waited
	Waited           time.Duration // how long those that did not get in at once waited, together
}

// Stats returns the counts.
func (p *Pool) Stats() Stats { return p.queue.stats() }

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails, as of Go 1.24
	return b
}
