package restapi_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/credential"
	"github.com/latchkey-auth/latchkey/internal/restapi"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// reader reads the changes of a site with a deadline.
type reader struct {
	t      *testing.T
	events chan client.ChangeEvent
	end    chan error
	stop   func()
}

func follow(t *testing.T, url, secret string, after int64) *reader {
	t.Helper()
	c, err := client.New(url, client.Options{Token: secret})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	r := &reader{t: t, events: make(chan client.ChangeEvent), end: make(chan error, 1), stop: cancel}
	go func() {
		for e, err := range c.Changes(ctx, after) {
			if err != nil {
				r.end <- err
				return
			}
			select {
			case r.events <- e:
			case <-ctx.Done():
			}
		}
	}()
	t.Cleanup(cancel)
	return r
}

// next returns the next event of one of these names.
func (r *reader) next(names ...string) client.ChangeEvent {
	r.t.Helper()
	for {
		select {
		case e := <-r.events:
			for _, name := range names {
				if e.Name == name {
					return e
				}
			}
		case err := <-r.end:
			r.t.Fatalf("the stream ended with %v, want an event %v", err, names)
		}
	}
}

// ended waits for the end of the stream.
func (r *reader) ended() error {
	for {
		select {
		case <-r.events:
		case err := <-r.end:
			return err
		}
	}
}

func (s *site) origin() string { return s.url[:len(s.url)-len(api.Prefix)] }

func secretOf(a as) string { return a.header[len("Bearer "):] }

func TestChanges(t *testing.T) {
	s := newSite(t)
	service := s.service()
	s.Ready(t)
	r := follow(t, s.origin(), secretOf(service), -1)
	r.next(api.EventSeen)
	made := want[api.NewToken](s.admin(), 201, "POST", "/tokens", `{"name":"n"}`)
	if got := s.admin().do("DELETE", "/tokens/"+made.ID, ""); got.status != 204 {
		t.Fatalf("DELETE = %d", got.status)
	}
	want[api.Account](s.admin(), 200, "PATCH", "/accounts/admin", `{"email":"a@example.org"}`)
	want[api.Grant](s.admin(), 201, "POST", "/grants", `{"group":"everyone","scope":"x:y:z"}`)
	var got []api.Change
	for len(got) < 3 {
		c := r.next(api.EventChange).Change
		if len(got) > 0 || c.Token == made.ID { // before it is what the node had not read yet
			got = append(got, c)
		}
	}
	first := got[0].Position
	wanted := []api.Change{
		{Position: first, Kind: api.ChangeToken, Token: made.ID},
		{Position: first + 1, Kind: api.ChangeAccount, Account: s.Admin.AccountID},
		{Position: first + 2, Kind: api.ChangeGroups},
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("GET /changes differs (-want +got):\n%s", diff)
	}

	again := follow(t, s.origin(), secretOf(service), first)
	if e := again.next(api.EventChange, api.EventReset); e.Position != first+1 {
		t.Errorf("resumed behind %d with %+v, want the change behind it", first, e)
	}
	beyond := follow(t, s.origin(), secretOf(service), first+100)
	if e := beyond.next(api.EventChange, api.EventReset); e.Name != api.EventReset || e.Position != first+2 {
		t.Errorf("resumed behind the end with %+v, want a reset", e)
	}
}

// What EventSource sends when it connects again counts more than the URL.
func TestChangesResumeByHeader(t *testing.T) {
	s := newSite(t)
	service := s.service()
	s.Ready(t)
	for header, want := range map[string]int{"5": 200, "": 200, "x": 400, "-1": 400, "1.5": 400, "99999999999999999999": 400} {
		req, _ := http.NewRequest("GET", s.url+"/changes?after=0", nil)
		req.Header.Set("Authorization", service.header)
		req.Header.Set("Last-Event-ID", header)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("Last-Event-ID %q = %d, want %d", header, res.StatusCode, want)
		}
		if want == 200 && (res.Header.Get("X-Accel-Buffering") != "no" || res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Content-Type") != "text/event-stream") {
			t.Errorf("the stream's header = %v, want nothing kept back or stored", res.Header)
		}
	}
	service.refuse(400, "invalid", "GET", "/changes?after=x", "")
}

// S83: who loses the right, or the token, loses the stream.
func TestChangesEndWithTheRight(t *testing.T) {
	s := newSite(t)
	service := s.service()
	s.Ready(t)
	r := follow(t, s.origin(), secretOf(service), -1)
	r.next(api.EventSeen)
	id := want[api.Page[api.Token]](s.admin(), 200, "GET", "/tokens?owner=service", "").Items[0].ID
	if got := s.admin().do("DELETE", "/tokens/"+id, ""); got.status != 204 {
		t.Fatalf("DELETE = %d", got.status)
	}
	if err := r.ended(); err == nil {
		t.Error("the stream of a revoked token goes on")
	}
	for _, account := range []string{"grant", "account"} {
		name := "by-password-" + account
		want[api.Account](s.admin(), 201, "POST", "/accounts", `{"name":"`+name+`","password":"`+coretest.Password+`","grants":["latchkey:check:read"]}`)
		c, err := client.New(s.origin(), client.Options{User: name, Password: coretest.Password})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		events := 0
		for _, err := range c.Changes(ctx, -1) {
			if err != nil {
				break
			}
			if events++; events > 1 {
				continue
			}
			if account == "account" {
				want[api.Account](s.admin(), 200, "PATCH", "/accounts/"+name, `{"disabled":true}`)
				continue
			}
			grant := want[api.Page[api.Grant]](s.admin(), 200, "GET", "/grants?account="+name, "").Items[0].ID
			if got := s.admin().do("DELETE", "/grants/"+grant, ""); got.status != 204 {
				t.Fatalf("DELETE = %d", got.status)
			}
		}
		if ctx.Err() != nil || events == 0 {
			t.Errorf("the stream of a user that lost the %s did not end by itself, after %d events", account, events)
		}
	}
}

// A server that stops does not wait for its readers, and lets go of those who
// do not read.
func TestChangesEndWhenTheServerStops(t *testing.T) {
	core := coretest.New(t, coretest.Options{})
	stopping := make(chan struct{})
	handler := restapi.New(restapi.Options{
		Tokens: core.Tokens, Accounts: core.Accounts, Audit: core.Audit, Chain: core.Chain, Keys: core.Keys, Log: core.Log,
		Check: &credential.Checker{Tokens: core.Tokens, Passwords: core.Accounts}, Realm: "test", Now: core.Clock.Now, Stopping: stopping,
	})
	core.Ready(t)
	srv := httptest.NewServer(web.Identify(nil, handler))
	t.Cleanup(srv.Close)
	s := &site{Core: core, t: t, url: srv.URL + api.Prefix}
	r := follow(t, srv.URL, secretOf(s.service()), -1)
	r.next(api.EventSeen)
	close(stopping)
	if err := r.ended(); err == nil {
		t.Error("the stream goes on")
	}
}

// pipes is a listener whose connections hold nothing back: what is written
// waits until it is read.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (pipes) Close() error   { return nil }
func (pipes) Addr() net.Addr { return &net.TCPAddr{} }

// A reader who does not read is cut off, and costs nothing from then on.
func TestSlowReadersAreCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core := coretest.New(t, coretest.Options{})
		api := restapi.New(restapi.Options{
			Tokens: core.Tokens, Accounts: core.Accounts, Audit: core.Audit, Chain: core.Chain, Keys: core.Keys, Log: core.Log,
			Check: &credential.Checker{Tokens: core.Tokens, Passwords: core.Accounts}, Realm: "test", Now: core.Clock.Now,
		})
		core.Ready(t)
		done := make(chan struct{})
		srv := &http.Server{Handler: web.Identify(nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			api.ServeHTTP(w, r)
			close(done)
		}))}
		listener := make(pipes, 1)
		go srv.Serve(listener)
		here, there := net.Pipe()
		listener <- there
		request, _ := http.NewRequest("GET", "http://test/latchkey/api/v1/changes", nil)
		request.SetBasicAuth("admin", coretest.Password)
		if err := request.Write(here); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		<-done
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("a reader who does not read was waited for %v, want seconds", took)
		}
		here.Close()
		close(listener)
		srv.Close()
	})
}
