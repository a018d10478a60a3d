package storetest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/store"
)

var eventTests = []test{
	{"RoundTrip", eventRoundTrip},
	{"BadText", eventBadText},
	{"Twice", eventTwice},
	{"Filters", eventFilters},
	{"Pages", eventPages},
}

func eventID(e store.Event) string { return e.ID }

func (f fixture) events(q store.EventQuery) []store.Event {
	f.Helper()
	if q.Limit == 0 {
		q.Limit = 1000
	}
	events, err := f.Events(f.ctx, q)
	if err != nil {
		f.Fatalf("Events(%+v) = %v, want no error", q, err)
	}
	return events
}

func (f fixture) appendEvents(events ...store.Event) {
	f.Helper()
	if err := f.AppendEvents(f.ctx, events); err != nil {
		f.Fatalf("AppendEvents() = %v, want no error", err)
	}
}

func fullEvent(id string) store.Event {
	return store.Event{
		ID: id, At: minute(1), Action: "token.issue", Outcome: "ok", Reason: "none",
		ActorID: "a", ActorName: "Älice", TokenID: "t", Target: "t2",
		Addr: "192.0.2.1", Agent: "curl/8 \"x\"", RequestID: "r", CorrelationID: "c",
		Detail: map[string]string{"k\"": "v\\\n", "": ""}, Count: 12,
	}
}

func eventRoundTrip(f fixture) {
	plain := store.Event{ID: "plain", At: start, Count: 1}
	f.update(func(tx store.Tx) error { return tx.AppendEvent(fullEvent("in a transaction")) })
	f.appendEvents(fullEvent("in a batch"), store.Event{ID: "plain", At: start, Detail: map[string]string{}})
	f.appendEvents()
	same(f, "Events()", f.events(store.EventQuery{}),
		[]store.Event{fullEvent("in a transaction"), fullEvent("in a batch"), plain})
	if _, err := f.Events(f.ctx, store.EventQuery{}); !errors.Is(err, store.ErrInvalid) {
		f.Errorf("Events() without a limit = %v, want %v", err, store.ErrInvalid)
	}
}

// eventBadText shows that nothing a client sends can keep an event, or the
// others of its batch, from being written.
func eventBadText(f fixture) {
	bad := "\x00\xff\xc3" + strings.Repeat("é", 5000)
	e := store.Event{ID: "bad", At: start, Action: bad, Outcome: bad, Reason: bad, ActorID: bad, ActorName: bad,
		TokenID: bad, Target: bad, Addr: bad, Agent: bad, RequestID: bad, CorrelationID: bad,
		Detail: map[string]string{bad: bad}}
	f.appendEvents(e, fullEvent("good"))
	f.update(func(tx store.Tx) error {
		e.ID = "bad2"
		return tx.AppendEvent(e)
	})
	got := f.events(store.EventQuery{})
	if len(got) != 3 {
		f.Fatalf("Events() = %d events, want 3", len(got))
	}
	if want := strings.Repeat("é", 100); !strings.Contains(got[1].ActorName, want) {
		f.Errorf("the name of the actor is %q, want what is good of it", got[1].ActorName)
	}
}

func eventTwice(f fixture) {
	e := fullEvent("e")
	f.appendEvents(e)
	f.appendEvents(e, fullEvent("f"))
	f.update(func(tx store.Tx) error { return tx.AppendEvent(e) })
	same(f, "Events() after writing one three times", ids(f.events(store.EventQuery{}), eventID), []string{"f", "e"})
}

func eventFilters(f fixture) {
	events := make([]store.Event, 6)
	for i := range events {
		events[i] = store.Event{ID: fmt.Sprintf("e%d", i), At: minute(i), Action: "token.issue", Outcome: "ok", Count: 1}
	}
	events[1].Action, events[1].Outcome = "token.revoke", "refused"
	events[2].Action, events[2].ActorID, events[2].ActorName = "tokens", "a", "alice"
	events[3].TokenID, events[3].RequestID = "t", "r"
	events[4].Target, events[4].CorrelationID = "t", "c"
	events[0].RequestID, events[0].CorrelationID = "c", "c" // no client sent an id
	events[5].TokenID, events[5].Target, events[5].Action = "t", "t", "token/x"
	f.appendEvents(events...)

	for name, tt := range map[string]struct {
		q    store.EventQuery
		want []string
	}{
		"all":            {store.EventQuery{}, []string{"e5", "e4", "e3", "e2", "e1", "e0"}},
		"action":         {store.EventQuery{Action: "token.issue"}, []string{"e4", "e3", "e0"}},
		"action prefix":  {store.EventQuery{Action: "token."}, []string{"e4", "e3", "e1", "e0"}},
		"no prefix":      {store.EventQuery{Action: "token"}, nil},
		"outcome":        {store.EventQuery{Outcome: "refused"}, []string{"e1"}},
		"actor":          {store.EventQuery{ActorID: "a"}, []string{"e2"}},
		"actor name":     {store.EventQuery{ActorName: "alice"}, []string{"e2"}},
		"token":          {store.EventQuery{TokenID: "t"}, []string{"e5", "e4", "e3"}},
		"token, 2":       {store.EventQuery{TokenID: "t", Limit: 2}, []string{"e5", "e4"}},
		"token before":   {store.EventQuery{TokenID: "t", Until: minute(4)}, []string{"e3"}},
		"target":         {store.EventQuery{Target: "t"}, []string{"e5", "e4"}},
		"request":        {store.EventQuery{RequestID: "r"}, []string{"e3"}},
		"correlation":    {store.EventQuery{CorrelationID: "c"}, []string{"e4", "e0"}},
		"correlation, 1": {store.EventQuery{CorrelationID: "c", Limit: 1}, []string{"e4"}},
		"both ids":       {store.EventQuery{CorrelationID: "c", Outcome: "ok", Action: "token.issue", Since: minute(1)}, []string{"e4"}},
		"odd":            {store.EventQuery{RequestID: "\x00\xff"}, nil},
		"since":          {store.EventQuery{Since: minute(4)}, []string{"e5", "e4"}},
		"until":          {store.EventQuery{Until: minute(1)}, []string{"e0"}},
		"both":           {store.EventQuery{Since: minute(1), Until: minute(3)}, []string{"e2", "e1"}},
		"after":          {store.EventQuery{After: store.Position{At: minute(2), ID: "e2"}}, []string{"e1", "e0"}},
		"limit":          {store.EventQuery{Limit: 1}, []string{"e5"}},
	} {
		same(f, "Events by "+name, ids(f.events(tt.q), eventID), tt.want)
	}
}

func eventPages(f fixture) {
	var events []store.Event
	for i := range 50 {
		events = append(events, store.Event{ID: fmt.Sprintf("e%02d", i), At: minute(i / 10), TokenID: "t"})
	}
	f.appendEvents(events...)
	for _, token := range []string{"", "t"} {
		var got []string
		q := store.EventQuery{TokenID: token, Limit: 7, Until: minute(5)}
		for {
			page := f.events(q)
			got = append(got, ids(page, eventID)...)
			if len(page) < q.Limit {
				break
			}
			last := page[len(page)-1]
			q.After = store.Position{At: last.At, ID: last.ID}
			f.appendEvents(store.Event{ID: "later" + token + last.ID, At: minute(9), TokenID: "t"})
		}
		var want []string
		for i := range 50 {
			want = append(want, fmt.Sprintf("e%02d", 49-i))
		}
		same(f, fmt.Sprintf("Events(token %q) in pages of 7", token), got, want)
	}
}
