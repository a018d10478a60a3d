package accounts_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/latchkey-auth/latchkey/internal/source"
)

// entry is somebody on a roster.
type entry struct {
	id, name, password string
	inactive           bool
	hash               int // rises when the same password is hashed anew
	old                bool
}

func (p entry) fingerprint() source.Fingerprint {
	version := "v2"
	if p.old {
		version = "v1"
	}
	return source.Fingerprint(fmt.Sprintf("%s|%v|%d|%s|%s", version, !p.inactive, p.hash, p.name, p.password))
}

func (p entry) subject() source.Subject {
	return source.Subject{ID: p.id, Username: p.name, Fingerprint: p.fingerprint()}
}

// roster is a source that tells everything that the contract has a word for,
// and in the midst of whose answers something else can happen. It does not
// distinguish case.
type roster struct {
	mu      sync.Mutex
	people  map[string]entry // by id
	down    error
	logins  int
	login   []func() // run in the next calls of Login, when the answer is known
	changed func()   // likewise of Changed, once
}

func newRoster(people ...entry) *roster {
	r := &roster{people: map[string]entry{}}
	for _, p := range people {
		r.people[p.id] = p
	}
	return r
}

// set changes or adds somebody.
func (r *roster) set(id string, change func(*entry)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.people[id]
	p.id = id
	change(&p)
	r.people[id] = p
}

func (r *roster) remove(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.people, id)
}

// fail makes all questions fail; nil ends it.
func (r *roster) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = err
}

func (r *roster) Name() string { return "roster" }

// Login implements [source.Source].
func (r *roster) Login(_ context.Context, username, password string) (source.Subject, error) {
	r.mu.Lock()
	r.logins++
	subject, err := r.look(username, password)
	var do func()
	if len(r.login) > 0 {
		do, r.login = r.login[0], r.login[1:]
	}
	r.mu.Unlock()
	if do != nil {
		do()
	}
	return subject, err
}

func (r *roster) look(username, password string) (source.Subject, error) {
	if r.down != nil {
		return source.Subject{}, r.down
	}
	for _, p := range r.people {
		if strings.EqualFold(p.name, username) && p.password == password && !p.inactive {
			return p.subject(), nil
		}
	}
	return source.Subject{}, source.ErrRefused
}

// Changed implements [source.Watcher].
func (r *roster) Changed(_ context.Context, known map[string]source.Fingerprint) ([]source.Change, error) {
	r.mu.Lock()
	changes, err := r.compare(known)
	do := r.changed
	r.changed = nil
	r.mu.Unlock()
	if do != nil {
		do()
	}
	return changes, err
}

func (r *roster) compare(known map[string]source.Fingerprint) ([]source.Change, error) {
	if r.down != nil {
		return nil, r.down
	}
	var changes []source.Change
	for _, id := range slices.Sorted(maps.Keys(known)) {
		p, found := r.people[id]
		if !found {
			changes = append(changes, source.Change{ID: id, Gone: true})
			continue
		}
		if p.fingerprint() == known[id] {
			continue
		}
		c := source.Change{ID: id, Now: p.subject(), Active: !p.inactive}
		a, b := strings.Split(string(known[id]), "|"), strings.Split(string(p.fingerprint()), "|")
		if c.Unknown = a[0] != b[0]; !c.Unknown {
			c.Disabled = a[1] == "true" && b[1] == "false"
			c.Enabled = a[1] == "false" && b[1] == "true"
			c.Rehashed = a[2] != b[2]
			c.Renamed = a[3] != b[3]
			c.Password = a[4] != b[4] || c.Rehashed
		}
		changes = append(changes, c)
	}
	return changes, nil
}
