//go:build e2e && linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
	"github.com/latchkey-auth/latchkey/internal/historytest"
)

// load asks a server for tokens, checks, rotates and revokes them, from several
// clients at once, and writes down what it answered.
type load struct {
	t      *testing.T
	server *latchkey
	admin  *client.Client
	http   *http.Client
	began  time.Time

	answered atomic.Int64 // calls with an answer
	asked    atomic.Int64 // names of tokens that were asked for

	mu      sync.Mutex
	tokens  []*known
	history []historytest.Call
	lost    []int // indexes in the history of calls whose effect is not settled
}

// known is a token that the server has issued.
type known struct {
	id      string
	secrets []string // by number; "" for one that was never seen
	touched bool     // in this round
}

// newLoad makes a load for a server, whose administrator gives it a token.
func newLoad(t *testing.T, s *latchkey) *load {
	t.Helper()
	secret := s.token(t, s.admin(), api.CreateToken{Name: "of the load"}).Secret
	transport := &http.Transport{Proxy: nil, MaxIdleConnsPerHost: 16}
	admin, err := client.New(s.url, client.Options{Token: secret, Transport: transport, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &load{
		t: t, server: s, admin: admin, began: time.Now(),
		http: &http.Client{Transport: transport, Timeout: 20 * time.Second},
	}
}

func (l *load) now() time.Duration { return time.Since(l.began) }

// Clients that get no answer wait before they try again, longer each time. That
// keeps the number of calls small of which nothing is known.
const shortPause, longPause = 20 * time.Millisecond, 500 * time.Millisecond

// run starts the clients. The function that it returns stops them and waits
// for the last answers.
func (l *load) run(clients int) (stop func()) {
	var wg sync.WaitGroup
	var over atomic.Bool
	for c := range clients {
		wg.Go(func() {
			pause := shortPause
			for !over.Load() {
				if l.step(c) {
					pause = shortPause
					continue
				}
				time.Sleep(pause) // as clients do when a server is down
				pause = min(2*pause, longPause)
			}
		})
	}
	return func() { over.Store(true); wg.Wait() }
}

// step makes one call of some kind, and reports whether it was answered.
func (l *load) step(client int) bool {
	token := l.pick()
	switch n := rand.IntN(100); {
	case n < 15 || token == nil:
		return l.issue(client)
	case n < 70:
		return l.check(client, token, -1)
	case n < 85:
		return l.rotate(client, token)
	}
	return l.revoke(client, token)
}

// pick chooses a token, most often a late one.
func (l *load) pick() *known {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.tokens)
	if n == 0 {
		return nil
	}
	if rand.IntN(4) > 0 {
		return l.tokens[n-1-rand.IntN(min(n, 16))]
	}
	return l.tokens[rand.IntN(n)]
}

// unsent is the outcome of a call that reached no server.
const unsent historytest.Outcome = "unsent"

// record writes a call down, and reports whether it was answered.
func (l *load) record(token *known, c historytest.Call) bool {
	if c.Outcome == unsent {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	token.touched = true
	c.Token, c.Ended = token.id, l.now()
	if c.Outcome == historytest.Lost {
		l.lost = append(l.lost, len(l.history))
	} else {
		l.answered.Add(1)
	}
	l.history = append(l.history, c)
	return c.Outcome != historytest.Lost
}

// settle says that what was lost until now takes effect no more. It returns the
// tokens that were asked about in this round.
func (l *load) settle() []*known {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, i := range l.lost {
		l.history[i].Ended = l.now()
	}
	l.lost = nil
	var touched []*known
	for _, k := range l.tokens {
		if k.touched {
			touched = append(touched, k)
		}
	}
	return touched
}

// forget begins a new round: no token counts as asked about.
func (l *load) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.tokens {
		k.touched = false
	}
}

// outcome reads an error of the client. What is neither done nor refused in the
// way that the kind of call allows is a mistake of the server.
func (l *load) outcome(what string, err error, refusals ...error) historytest.Outcome {
	var answer *client.Error
	switch {
	case err == nil:
		return historytest.Yes
	case slices.ContainsFunc(refusals, func(r error) bool { return errors.Is(err, r) }):
		return historytest.No
	case errors.As(err, &answer) && !errors.Is(err, client.ErrUnavailable):
		l.t.Errorf("%s: %v, want it done, refused or 503", what, err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return unsent
	}
	return historytest.Lost
}

func (l *load) issue(client int) bool {
	c := historytest.Call{Kind: historytest.Issue, Client: client, Began: l.now()}
	made, err := l.admin.Tokens.Create(l.t.Context(), api.CreateToken{Name: fmt.Sprint("load-", l.asked.Add(1))})
	if c.Outcome = l.outcome("Create", err); c.Outcome != historytest.Yes {
		return false // nobody knows its id
	}
	token := &known{id: made.ID, secrets: []string{made.Secret}}
	l.record(token, c)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tokens = append(l.tokens, token)
	return true
}

func (l *load) rotate(client int, token *known) bool {
	l.mu.Lock()
	number := len(token.secrets)
	token.secrets = append(token.secrets, "")
	l.mu.Unlock()
	c := historytest.Call{Kind: historytest.Rotate, Client: client, Secret: number}
	switch rand.IntN(4) {
	case 0:
		c.Overlap = time.Second
	case 1:
		c.Overlap, c.UntilUsed = time.Hour, true
	}
	c.Began = l.now()
	made, err := l.admin.Tokens.Rotate(l.t.Context(), token.id, api.RotateToken{Overlap: int64(c.Overlap / time.Second), UntilUsed: c.UntilUsed})
	c.Outcome = l.outcome("Rotate", err, errConflict, errNotFound)
	if c.Outcome == historytest.Yes {
		l.mu.Lock()
		token.secrets[number] = made.Secret
		l.mu.Unlock()
	}
	return l.record(token, c)
}

var errConflict, errNotFound = client.ErrConflict, client.ErrNotFound

func (l *load) revoke(client int, token *known) bool {
	c := historytest.Call{Kind: historytest.Revoke, Client: client, Began: l.now()}
	c.Outcome = l.outcome("Revoke", l.admin.Tokens.Revoke(l.t.Context(), token.id, ""), errConflict, errNotFound)
	return l.record(token, c)
}

// check asks the door about a secret of a token: the one with a number, or any
// if that is negative.
func (l *load) check(client int, token *known, number int) bool {
	l.mu.Lock()
	if number < 0 {
		number = len(token.secrets) - 1 - min(rand.IntN(3), len(token.secrets)-1)
	}
	secret := token.secrets[number]
	l.mu.Unlock()
	if secret == "" {
		return true // never seen
	}
	c := historytest.Call{Kind: historytest.Check, Client: client, Secret: number, Began: l.now()}
	c.Outcome = l.verify(token.id, secret)
	return l.record(token, c)
}

func (l *load) verify(id, secret string) historytest.Outcome {
	req, err := http.NewRequestWithContext(l.t.Context(), http.MethodGet, l.server.url+verifyPath, nil)
	if err != nil {
		l.t.Error(err)
		return historytest.Lost
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	res, err := l.http.Do(req)
	if err != nil {
		return historytest.Lost // also when refused: that may be a second attempt of the transport's
	}
	_, _ = io.Copy(io.Discard, res.Body) // so that the connection can be used again
	_ = res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
		if got := res.Header.Get("Latchkeytoken"); got != id {
			l.t.Errorf("a secret of token %s opens token %q", id, got)
		}
		return historytest.Yes
	case http.StatusUnauthorized:
		return historytest.No
	case http.StatusServiceUnavailable:
	default:
		l.t.Errorf("verify = %d, want 200, 401 or 503", res.StatusCode)
	}
	return historytest.Lost
}

// recheck asks about all secrets of tokens.
func (l *load) recheck(tokens []*known) {
	work := make(chan *known)
	var wg sync.WaitGroup
	for c := range 4 {
		wg.Go(func() {
			for k := range work {
				for number := range k.secrets {
					l.check(c, k, number)
				}
			}
		})
	}
	for _, k := range tokens {
		work <- k
	}
	close(work)
	wg.Wait()
}

// some returns a few of all tokens.
func (l *load) some(n int) []*known {
	var some []*known
	for range min(n, len(l.tokens)) {
		some = append(some, l.tokens[rand.IntN(len(l.tokens))])
	}
	return slices.Compact(slices.SortedFunc(slices.Values(some), func(a, b *known) int { return strings.Compare(a.id, b.id) }))
}

// list compares the server's list of tokens with what it has issued: each of
// those is there once, and nothing that nobody asked for.
func (l *load) list(ctx context.Context) {
	began, byID, names := l.now(), map[string]*known{}, map[string]bool{}
	for _, k := range l.tokens {
		byID[k.id] = k
	}
	for listed, err := range l.admin.Tokens.All(ctx, client.TokenQuery{Limit: 1000, Name: "load-"}) {
		if err != nil {
			l.t.Fatalf("listing the tokens: %v", err)
		}
		var n int64
		if _, err := fmt.Sscanf(listed.Name, "load-%d", &n); err != nil || n < 1 || n > l.asked.Load() || names[listed.Name] {
			l.t.Errorf("the list has a token %q, which nobody asked for, or twice", listed.Name)
		}
		names[listed.Name] = true
		if k := byID[listed.ID]; k != nil {
			outcome := historytest.No
			if listed.State == "live" {
				outcome = historytest.Yes
			}
			l.record(k, historytest.Call{Kind: historytest.Show, Outcome: outcome, Began: began})
			delete(byID, listed.ID)
		}
	}
	for id := range byID {
		l.t.Errorf("token %s was issued and is not in the list", id)
	}
}
