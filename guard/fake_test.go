package guard_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/guard"
)

// fake is a server whose every word the test decides. It is the guard's
// transport, so that it works on a clock that is not real.
type fake struct {
	mu     sync.Mutex
	asked  int
	answer func(api.Check) (api.Checked, error)
	feed   *io.PipeWriter
	opened time.Time
	after  string
	broken bool          // nothing new is answered
	slow   time.Duration // on the way to opening a stream
}

func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken {
		return nil, io.ErrUnexpectedEOF
	}
	if r.URL.Path == "/latchkey/api/v1/changes" {
		time.Sleep(f.slow)
		body, w := io.Pipe()
		f.feed, f.opened, f.after = w, time.Now(), r.URL.Query().Get("after")
		context.AfterFunc(r.Context(), func() { body.CloseWithError(r.Context().Err()) })
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: body, Request: r}, nil
	}
	var in api.Check
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return nil, err
	}
	f.asked++
	answer := f.answer
	f.mu.Unlock()
	defer f.mu.Lock() // for the Unlock above
	var out api.Checked
	var err error
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		out, err = answer(in)
	}()
	select {
	case <-answered:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if err != nil {
		return nil, err
	}
	body, _ := json.Marshal(out)
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body)), Request: r}, nil
}

// questions returns how many checks were asked since the last call.
func (f *fake) questions() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.asked
	f.asked = 0
	return n
}

func (f *fake) answers(do func(api.Check) (api.Checked, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = do
}

// tell sends an event.
func (f *fake) tell(name string, c api.Change) {
	f.mu.Lock()
	w := f.feed
	f.mu.Unlock()
	body, _ := json.Marshal(c)
	_, _ = fmt.Fprintf(w, "id: %d\nevent: %s\ndata: %s\n\n", c.Position, name, body)
	synctest.Wait()
}

// seen tells that the log was read to its end just now.
func (f *fake) seen(position int64) {
	f.tell(api.EventSeen, api.Change{Position: position, AsOf: f.open().Milliseconds()})
}

// open returns for how long the stream has been open.
func (f *fake) open() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Since(f.opened)
}

// yes is a good answer about a token of alice.
func yes(position int64) api.Checked {
	now := time.Now()
	return api.Checked{
		Active: true, Account: "alice", AccountID: "acc_1", Kind: "user", Source: "local", TokenID: "tok_1", Class: "personal",
		Scope: []string{"path:/a/*:read"}, Position: position, CheckedAt: &now,
	}
}

func always(c func() api.Checked) func(api.Check) (api.Checked, error) {
	return func(api.Check) (api.Checked, error) { return c(), nil }
}

// faked runs do in a bubble with a guard on a fake server that has told that
// the log ends at 10, and says yes.
func faked(t *testing.T, change func(*guard.Options), do func(t *testing.T, g *guard.Guard, f *fake)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: always(func() api.Checked { return yes(10) })}
		o := guard.Options{Server: "http://latchkey.example", Token: "lkr_planted-service-token", Transport: f, Log: slog.New(slog.DiscardHandler)}
		if change != nil {
			change(&o)
		}
		g, err := guard.New(o)
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		synctest.Wait()
		f.seen(10)
		do(t, g, f)
	})
}

// as asks about a token as a request would.
func as(g *guard.Guard, token string) (guard.Identity, error) {
	return g.Check(context.Background(), guard.Credential{Token: token})
}

func mustPass(t *testing.T, g *guard.Guard, token string) guard.Identity {
	t.Helper()
	id, err := as(g, token)
	if err != nil || id.Account == "" {
		t.Fatalf("Check() = %+v, %v, want an identity", id, err)
	}
	return id
}

// asksFor checks that a good token costs so many questions.
func asksFor(t *testing.T, g *guard.Guard, f *fake, why string, want int) {
	t.Helper()
	f.questions()
	mustPass(t, g, "lkp_alice")
	if n := f.questions(); n != want {
		t.Errorf("%s: a check asked the server %d times, want %d", why, n, want)
	}
}

// long is a token longer than opaque ones are.
var long = "ey" + strings.Repeat("J", 3000)
