package pulpaccounts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/store"
)

var (
	robot = &identity.Identity{AccountID: "acc_ci", Name: "ci", Kind: "robot", Source: "local"}
	local = &identity.Identity{AccountID: "acc_ann", Name: "ann", Kind: "user", Source: "local"}
	pulps = &identity.Identity{AccountID: "acc_bob", Name: "bob", Kind: "user", Source: "pulp"}
	table = &identity.Identity{AccountID: "acc_eve", Name: "eve", Kind: "user", Source: "django"}
	none  = &identity.Identity{}
)

// events keeps what is recorded, in short.
type events struct {
	mu   sync.Mutex
	list []string
}

func (e *events) Record(event store.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, fmt.Sprintf("%s %s %s %s %s %s", event.Action, event.Outcome, event.ActorName, event.Target, event.Detail["username"], event.Reason))
	if err := audit.Check(event.Action); err != nil {
		e.list = append(e.list, err.Error())
	}
}

func (e *events) all() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.list
}

func newAccounts(t *testing.T, o Options) *Accounts {
	t.Helper()
	if o.Admin == "" {
		o.Admin = "admin"
	}
	a, err := New(o)
	if err != nil {
		t.Fatalf("New() = %v", err)
	}
	t.Cleanup(a.Close)
	return a
}

func TestNames(t *testing.T) {
	for _, tt := range []struct {
		users, robots Rule
		want          string
		made          []string
	}{
		{Same, Same, "ci ann bob eve ", nil},
		{"", "", "ci ann bob eve ", nil},
		{Map, Map, "shared shared bob eve ", nil},
		{Same, Map, "shared ann bob eve ", nil},
		{Map, Same, "ci shared bob eve ", nil},
		{Same, Make, "ci ann bob eve ", []string{"look for ci", "make ci"}},
		{Make, Map, "shared ann bob eve ", []string{"look for ann", "make ann", "look for eve", "make eve"}},
	} {
		t.Run(string(tt.users+"_"+tt.robots), func(t *testing.T) {
			pulp, at := newPulp(t, map[string]bool{"bob": true})
			a := newAccounts(t, Options{Users: tt.users, Robots: tt.robots, Known: "pulp", MapTo: "shared", API: at})
			var names []string
			for _, id := range []*identity.Identity{robot, local, pulps, table, none} {
				if err := a.Ensure(t.Context(), id); err != nil {
					t.Errorf("Ensure(%s) = %v", id.Name, err)
				}
				names = append(names, a.NameOf(id))
			}
			if got := strings.Join(names, " "); got != tt.want {
				t.Errorf("NameOf() of all = %q, want %q", got, tt.want)
			}
			if diff := cmp.Diff(tt.made, pulp.asked()); diff != "" {
				t.Errorf("Pulp was asked, -want +got:\n%s", diff)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	at := &url.URL{Scheme: "http", Host: "localhost"}
	for name, o := range map[string]Options{
		"no user to map to": {Robots: Map},
		"no rule":           {Users: "some"},
		"no Pulp":           {Users: Make, Admin: "admin"},
		"no administrator":  {Users: Make, API: at},
		"no such scheme":    {Users: Make, Admin: "admin", API: &url.URL{Scheme: "ftp", Host: "localhost"}},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("New() with %s = nil, want an error", name)
		}
	}
}

// TestOnce asks Pulp once for many requests, also when they come together.
func TestOnce(t *testing.T) {
	pulp, at := newPulp(t, map[string]bool{})
	var log events
	now := time.Unix(1_800_000_000, 0)
	a := newAccounts(t, Options{Robots: Make, API: at, Audit: &log, Now: func() time.Time { return now }})
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			if err := a.Ensure(t.Context(), robot); err != nil {
				t.Errorf("Ensure() = %v", err)
			}
		})
	}
	all.Wait()
	if diff := cmp.Diff([]string{"look for ci", "make ci"}, pulp.asked()); diff != "" {
		t.Errorf("Pulp was asked, -want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"pulp.user_create ok ci acc_ci ci "}, log.all()); diff != "" {
		t.Errorf("events, -want +got:\n%s", diff)
	}
	now = now.Add(knownFor)
	if err := a.Ensure(t.Context(), robot); err != nil {
		t.Fatalf("Ensure() = %v", err)
	}
	if diff := cmp.Diff([]string{"look for ci"}, pulp.asked()); diff != "" {
		t.Errorf("Pulp was asked later, -want +got:\n%s", diff)
	}
	if got := len(log.all()); got != 1 {
		t.Errorf("there are %d events after a user was found, want one still", got)
	}
}

// TestOtherNode finds the user that another node has made in between.
func TestOtherNode(t *testing.T) {
	pulp, at := newPulp(t, map[string]bool{})
	pulp.before = func(r *http.Request) int {
		if r.Method == http.MethodPost {
			pulp.mu.Lock()
			defer pulp.mu.Unlock()
			pulp.active["ci"] = true
			return http.StatusBadRequest
		}
		return 0
	}
	a := newAccounts(t, Options{Robots: Make, API: at})
	if err := a.Ensure(t.Context(), robot); err != nil {
		t.Errorf("Ensure() = %v, want nil", err)
	}
}

// TestFailures: where it is not certain that there is a user, there is a fault
// in words that tell nothing of Pulp, and the next request tries again.
func TestFailures(t *testing.T) {
	for name, tt := range map[string]struct {
		admin  string
		id     *identity.Identity
		before func(*http.Request) int
		want   fault.Kind
		event  string
	}{
		"no superuser": {admin: "bob", want: fault.Unavailable, event: "pulp.user_create failed ci acc_ci ci unavailable"},
		"broken":       {before: func(*http.Request) int { return http.StatusInternalServerError }, want: fault.Unavailable, event: "pulp.user_create failed ci acc_ci ci unavailable"},
		"redirected":   {before: func(*http.Request) int { return http.StatusFound }, want: fault.Unavailable, event: "pulp.user_create failed ci acc_ci ci unavailable"},
		"not JSON":     {before: func(r *http.Request) int { return http.StatusOK }, want: fault.Unavailable, event: "pulp.user_create failed ci acc_ci ci unavailable"},
		"made nothing": {before: func(r *http.Request) int {
			if r.Method == http.MethodPost {
				return http.StatusBadRequest
			}
			return 0
		}, want: fault.Unavailable, event: "pulp.user_create failed ci acc_ci ci unavailable"},
		"inactive": {id: &identity.Identity{AccountID: "acc_old", Name: "old", Kind: "robot"}, want: fault.Forbidden, event: "pulp.user_create refused old acc_old old forbidden"},
		"too long": {id: &identity.Identity{AccountID: "acc_long", Name: strings.Repeat("x", 151), Kind: "robot"}, want: fault.Forbidden, event: "pulp.user_create refused " + strings.Repeat("x", 151) + " acc_long " + strings.Repeat("x", 151) + " forbidden"},
	} {
		t.Run(name, func(t *testing.T) {
			pulp, at := newPulp(t, map[string]bool{"old": false})
			pulp.before = tt.before
			var log events
			a := newAccounts(t, Options{Robots: Make, API: at, Admin: tt.admin, Audit: &log})
			id := tt.id
			if id == nil {
				id = robot
			}
			for range 2 {
				err := a.Ensure(t.Context(), id)
				if !fault.Is(err, tt.want) {
					t.Errorf("Ensure() = %v, want a fault of kind %s", err, tt.want)
				}
				if text := fault.Of(err).Message; strings.Contains(text, "127.0.0.1") || strings.Contains(text, "admin") {
					t.Errorf("the client is told %q", text)
				}
			}
			if diff := cmp.Diff([]string{tt.event, tt.event}, log.all()); diff != "" {
				t.Errorf("events, -want +got:\n%s", diff)
			}
		})
	}
}

// TestOtherUser: a Pulp that answers about somebody else has not said anything.
func TestOtherUser(t *testing.T) {
	server, err := net.Listen("unix", filepath.Join(t.TempDir(), "pulp"))
	if err != nil {
		t.Fatal(err)
	}
	answers := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"results":[{"username":"admin","is_active":true}]}`))
	})}
	go func() { _ = answers.Serve(server) }()
	t.Cleanup(func() { _ = answers.Close() })
	a := newAccounts(t, Options{Robots: Make, API: &url.URL{Scheme: "unix", Path: server.Addr().String()}})
	if err := a.Ensure(t.Context(), robot); !fault.Is(err, fault.Unavailable) || !errors.Is(err, errAnswer) {
		t.Errorf("Ensure() = %v, want %v", err, errAnswer)
	}
}

// silent is a Pulp that says nothing, and tells of each request.
func silent(t *testing.T) (*url.URL, <-chan struct{}) {
	t.Helper()
	pulp, at := newPulp(t, map[string]bool{})
	reached, leave := make(chan struct{}, 8), make(chan struct{})
	pulp.before = func(*http.Request) int {
		reached <- struct{}{}
		<-leave
		return http.StatusServiceUnavailable
	}
	t.Cleanup(func() { close(leave) })
	return at, reached
}

// TestPatience: a Pulp that says nothing holds up nobody for longer than the
// timeout.
func TestPatience(t *testing.T) {
	at, _ := silent(t)
	a := newAccounts(t, Options{Robots: Make, API: at, Timeout: 50 * time.Millisecond})
	if err := a.Ensure(t.Context(), robot); !fault.Is(err, fault.Unavailable) {
		t.Errorf("Ensure() = %v, want a fault of kind unavailable", err)
	}
}

// TestClientLeaves: a client that leaves is not waited for.
func TestClientLeaves(t *testing.T) {
	at, reached := silent(t)
	a := newAccounts(t, Options{Robots: Make, API: at, Timeout: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-reached; cancel() }()
	if err := a.Ensure(ctx, robot); !fault.Is(err, fault.Unavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("Ensure() = %v, want a fault of kind unavailable, as the client left", err)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	k := newKnown(time.Second, time.Now)
	for i := range mostKnown + 10 {
		if err := k.ensure(t.Context(), fmt.Sprint(i), func(context.Context) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(k.until); got != mostKnown {
		t.Errorf("%d names are remembered, want %d", got, mostKnown)
	}
	if got := len(k.pending); got != 0 {
		t.Errorf("%d names are being asked for, want none", got)
	}
}
