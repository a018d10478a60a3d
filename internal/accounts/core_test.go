package accounts_test

import (
	"context"
	crypto "crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/source"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

var bg = context.Background()

// Passwords of users in tests; no real one is like them.
const (
	right = "planted right password"
	other = "planted other password"
	wrong = "planted wrong password"
)

func newCore(t testing.TB, sources ...source.Source) *coretest.Core {
	t.Helper()
	c := coretest.New(t, coretest.Options{Sources: sources})
	c.Ready(t)
	return c
}

// localUser makes a local user with a password.
func localUser(t testing.TB, c *coretest.Core, name string, grants ...string) *identity.Identity {
	t.Helper()
	return c.Account(t, accounts.NewAccount{Name: name, Password: secret.New(right), Grants: grants})
}

func login(c *coretest.Core, name, text string) (*identity.Identity, error) {
	return c.Accounts.Login(bg, name, secret.New(text))
}

func mustLogin(t testing.TB, c *coretest.Core, name, text string) *identity.Identity {
	t.Helper()
	id, err := login(c, name, text)
	if err != nil {
		t.Fatalf("Login(%q) = %v, want an identity", name, err)
	}
	return id
}

func issue(t testing.TB, c *coretest.Core, who *identity.Identity, accountID string) tokens.Issued {
	t.Helper()
	made, err := c.Tokens.Issue(bg, who, tokens.Request{Name: "made for a test", AccountID: accountID})
	if err != nil {
		t.Fatalf("Issue() = %v", err)
	}
	return made
}

// passes reports whether a token counts.
func passes(c *coretest.Core, made tokens.Issued) bool {
	id, err := c.Tokens.Check(bg, tokens.Presented{Token: made.Secret})
	return err == nil && id != nil
}

func wantFault(t testing.TB, call string, err error, kind fault.Kind) {
	t.Helper()
	if !fault.Is(err, kind) {
		t.Errorf("%s = %v, want a fault of the kind %q", call, err, kind)
	}
}

func account(t testing.TB, c *coretest.Core, id string) store.Account {
	t.Helper()
	a, err := c.Store.Store.Account(bg, id)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func of[T any](v T) *T { return &v }

// directory is a source of passwords that a test writes.
type directory struct {
	name string

	mu     sync.Mutex
	people map[string]person // by what they type
	down   error             // what Login and Changed return instead
	asked  int
	during func() // runs once, while a password is being checked
}

type person struct {
	password string
	subject  source.Subject
}

// newDirectory returns a source that knows people, whose ids are 1, 2, ….
func newDirectory(name string, usernames ...string) *directory {
	d := &directory{name: name, people: map[string]person{}}
	for i, u := range usernames {
		d.set(strconv.Itoa(i+1), u, right)
	}
	return d
}

// set makes or replaces somebody who logs in with a username.
func (d *directory) set(id, username, password string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.people[username] = person{password, source.Subject{
		ID: id, Username: username, Email: username + "@" + d.name + ".example",
		Fingerprint: source.Fingerprint(fmt.Sprintf("active %s %s", username, password)),
	}}
}

func (d *directory) remove(username string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.people, username)
}

func (d *directory) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = err
}

func (d *directory) calls() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

func (d *directory) Name() string { return d.name }

func (d *directory) Login(_ context.Context, username, password string) (source.Subject, error) {
	d.mu.Lock()
	d.asked++
	p, known := d.people[username]
	down, during := d.down, d.during
	d.during = nil
	d.mu.Unlock()
	if during != nil {
		during()
	}
	switch {
	case down != nil:
		return source.Subject{}, down
	case !known || p.password != password:
		return source.Subject{}, source.ErrRefused
	}
	return p.subject, nil
}

// watched is a directory that can tell what has changed.
type watched struct{ *directory }

func (w watched) Changed(_ context.Context, known map[string]source.Fingerprint) ([]source.Change, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down != nil {
		return nil, w.down
	}
	byID := map[string]person{}
	for _, p := range w.people {
		byID[p.subject.ID] = p
	}
	var changes []source.Change
	for id, before := range known {
		p, found := byID[id]
		var state, name, password string
		_, _ = fmt.Sscanf(string(before), "%s %s", &state, &name)
		password = string(before)[len(state)+1+len(name)+1:]
		switch now := p.subject; {
		case !found:
			changes = append(changes, source.Change{ID: id, Gone: true})
		case now.Fingerprint != before:
			active := string(now.Fingerprint[:6]) == "active"
			changes = append(changes, source.Change{
				ID: id, Now: now, Active: active, Renamed: name != now.Username, Password: password != p.password,
				Disabled: state == "active" && !active, Enabled: state != "active" && active,
			})
		}
	}
	return changes, nil
}

// setActive marks somebody as active or not, as a directory does that tells
// so only when it is asked for changes.
func (d *directory) setActive(username string, active bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.people[username]
	state := map[bool]string{true: "active", false: "closed"}[active]
	p.subject.Fingerprint = source.Fingerprint(fmt.Sprintf("%s %s %s", state, username, p.password))
	d.people[username] = p
}

// pull is a request that nobody may make without a grant.
var pull = scope.Request{Type: "repository", Name: "a", Action: "pull"}

// pbkdf2 is a stored hash as Django makes them, with few rounds.
func pbkdf2(t testing.TB, password string) string {
	t.Helper()
	key, err := crypto.Key(sha256.New, password, []byte("planted-salt"), 1000, 32)
	if err != nil {
		t.Fatal(err)
	}
	return "pbkdf2_sha256$1000$planted-salt$" + base64.StdEncoding.EncodeToString(key)
}
