package client_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

// streamer answers with a stream of events that has this text.
func streamer(t *testing.T, text string, asked *string) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked != nil {
			*asked = r.RequestURI + " " + r.Header.Get("Authorization")
		}
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, text)
	}))
	t.Cleanup(server.Close)
	return server
}

func follow(t *testing.T, c *client.Client, after int64) (events []client.ChangeEvent, end error) {
	t.Helper()
	for e, err := range c.Changes(t.Context(), after) {
		if err != nil {
			return events, err
		}
		events = append(events, e)
	}
	t.Fatal("Changes() ended without an error")
	return nil, nil
}

func TestChanges(t *testing.T) {
	var asked string
	text := ": a comment\n\nid: 7\nevent: change\ndata: {\"position\":7,\"kind\":\"token\",\"token\":\"tok_1\"}\n\n" +
		"event: seen\r\ndata: {\"position\":7,\r\ndata:\"as_of\":-12}\r\nretry: 5\r\n\r\n" +
		"event: reset\ndata: {\"position\":9}\n\nevent: change\ndata: {\"position\":10}"
	c := newClient(t, streamer(t, text, &asked).URL, client.Options{Token: "lkr_planted"})
	events, err := follow(t, c, 6)
	want := []client.ChangeEvent{
		{Name: api.EventChange, Change: api.Change{Position: 7, Kind: api.ChangeToken, Token: "tok_1"}},
		{Name: api.EventSeen, Change: api.Change{Position: 7, AsOf: -12}},
		{Name: api.EventReset, Change: api.Change{Position: 9}}, // the one behind it is cut off and so none
	}
	if diff := cmp.Diff(want, events); diff != "" || !errors.Is(err, io.EOF) {
		t.Errorf("Changes() ended with %v, want io.EOF (-want +got):\n%s", err, diff)
	}
	if asked != "/latchkey/api/v1/changes?after=6 Bearer lkr_planted" {
		t.Errorf("Changes() asked %q", asked)
	}
	if follow(t, c, -1); asked != "/latchkey/api/v1/changes Bearer lkr_planted" {
		t.Errorf("Changes(-1) asked %q, want nothing behind the path", asked)
	}
}

func TestChangesOfSomethingElse(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON":     "event: change\ndata: nonsense\n\n",
		"a long line": "data: " + strings.Repeat("x", 100<<10) + "\n\n",
		"much data":   strings.Repeat("data: "+strings.Repeat("x", 1000)+"\n", 100) + "\n",
	} {
		c := newClient(t, streamer(t, text, nil).URL, client.Options{})
		if events, err := follow(t, c, 0); len(events) > 0 || !errors.Is(err, client.ErrForeign) {
			t.Errorf("Changes() of %s = %v, %v, want ErrForeign", name, events, err)
		}
	}
	for status, want := range map[int]error{200: client.ErrForeign, 401: client.ErrUnauthenticated, 403: client.ErrForbidden, 503: client.ErrUnavailable, 404: client.ErrForeign} {
		var got seen
		c := newClient(t, recorder(t, status, "{}", &got).URL, client.Options{})
		if events, err := follow(t, c, 0); len(events) > 0 || !errors.Is(err, want) {
			t.Errorf("Changes() answered with %d = %v, %v, want %v", status, events, err, want)
		}
	}
}

func FuzzChanges(f *testing.F) {
	f.Add("event: change\ndata: {\"position\":7}\n\n")
	f.Add("data:\n\n\r\n:\n\x00")
	f.Fuzz(func(t *testing.T, text string) {
		c := newClient(t, "http://latchkey.example", client.Options{Transport: answers(text)})
		for e, err := range c.Changes(t.Context(), 0) {
			if err != nil {
				if !errors.Is(err, io.EOF) && !errors.Is(err, client.ErrForeign) {
					t.Errorf("Changes() = %v, want io.EOF or ErrForeign", err)
				}
				return
			}
			_ = fmt.Sprint(e)
		}
	})
}

// answers is a way to a server that sends this stream.
type answers string

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: 200, Header: http.Header{"Content-Type": {"text/event-stream"}},
		Body: io.NopCloser(strings.NewReader(string(a))), Request: r,
	}, nil
}
