package restapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
	"github.com/latchkey-auth/latchkey/internal/web"
)

const (
	// seenEvery is how often a reader of the changes hears that there are none.
	seenEvery = 500 * time.Millisecond

	// slowReader is how long a reader may take to make room for what is
	// written to it. Then it is cut off; it can resume.
	slowReader = 5 * time.Second

	// longestStream is after what time a stream ends by itself, so that
	// readers measure the way to the server anew and a password is checked
	// anew.
	longestStream = 10 * time.Minute
)

// followChanges opens the stream of changes.
func (c *call) followChanges() (answer, error) {
	after, err := c.resumeAt()
	if err != nil {
		return answer{}, err
	}
	feed, err := c.Tokens.Follow(c.ctx, c.caller, after)
	if err != nil {
		return answer{}, err
	}
	return answer{stream: func(w http.ResponseWriter, r *http.Request) {
		defer feed.Close()
		ctx, cancel := context.WithTimeout(r.Context(), longestStream)
		defer cancel()
		go func() {
			select {
			case <-c.Stopping:
				cancel()
			case <-ctx.Done():
			}
		}()
		stream := changeStream{w: w, rc: http.NewResponseController(w), feed: feed}
		stream.run(ctx, func() bool { return c.stillAllowed(r) })
	}}, nil
}

// resumeAt returns the position that the caller has read up to, -1 when it
// wants to begin now. A browser's EventSource repeats the URL that it was given
// and says in the header how far it came since.
func (c *call) resumeAt() (int64, error) {
	field, text := "after", c.query["after"]
	if id := c.r.Header.Get("Last-Event-Id"); id != "" {
		field, text = "Last-Event-ID", id
	}
	if text == "" {
		return -1, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, fault.Invalidf(field, "is not the number of a change")
	}
	return n, nil
}

// stillAllowed reports whether the caller may go on reading. While the store
// does not answer that is not known, and nothing that could be told is, either.
func (c *call) stillAllowed(r *http.Request) bool {
	id, err := c.again(r)
	if err != nil {
		return fault.Is(err, fault.Unavailable)
	}
	return id.Epoch == c.caller.Epoch && id.May(tokens.Checks, scope.Read)
}

// again checks the caller anew, except for a password, which is made to be
// slow: whatever ends it raises the epoch.
func (c *call) again(r *http.Request) (*identity.Identity, error) {
	if c.caller.Method == identity.Token {
		return c.Check.Request(r)
	}
	return c.Tokens.IdentityOf(r.Context(), c.caller.AccountID)
}

// changeStream writes server-sent events, as the HTML standard describes them
// in section 9.2.
type changeStream struct {
	w    http.ResponseWriter
	rc   *http.ResponseController
	feed *tokens.Feed
	buf  []byte // what is written at once
}

// run writes what the feed has to tell until ctx ends, the reader is gone or
// too slow, or allowed says no.
func (s *changeStream) run(ctx context.Context, allowed func() bool) {
	h := s.w.Header()
	h.Set("Content-Type", "text/event-stream")
	web.NoStore(h)
	h.Set("X-Accel-Buffering", "no") // nginx would keep events back
	s.w.WriteHeader(http.StatusOK)
	within := time.Duration(0) // the first answer is at once
	for {
		batch, err := s.feed.Next(ctx, within)
		if err != nil || !allowed() {
			return
		}
		if s.write(batch) != nil {
			return
		}
		within = seenEvery
	}
}

// write sends one batch. What it holds is bounded by the feed, and so is the
// memory that a reader takes who does not read.
func (s *changeStream) write(b tokens.Batch) error {
	s.buf = s.buf[:0]
	if b.Reset {
		s.event(api.EventReset, api.Change{Position: resetPosition(b)})
	}
	for _, change := range b.Changes {
		s.event(api.EventChange, changeOf(change))
	}
	if b.Whole {
		s.event(api.EventSeen, api.Change{Position: b.Position, AsOf: b.AsOf.Milliseconds() - 1}) // rounded to what is older
	}
	if len(s.buf) == 0 {
		return nil
	}
	if err := s.rc.SetWriteDeadline(time.Now().Add(slowReader)); err != nil {
		return err
	}
	if _, err := s.w.Write(s.buf); err != nil {
		return err
	}
	return s.rc.Flush()
}

// resetPosition is the position from which a batch goes on.
func resetPosition(b tokens.Batch) int64 {
	if len(b.Changes) > 0 {
		return b.Changes[0].Seq - 1
	}
	return b.Position
}

func (s *changeStream) event(name string, data api.Change) {
	body, _ := json.Marshal(data) // numbers and strings can always be encoded
	s.buf = fmt.Appendf(s.buf, "id: %d\nevent: %s\ndata: %s\n\n", data.Position, name, body)
}

func changeOf(c store.Change) api.Change {
	out := api.Change{Position: c.Seq, Kind: string(c.Kind)}
	switch c.Kind {
	case store.ChangeToken:
		out.Token = c.TokenID
	case store.ChangeAccount:
		out.Account = c.AccountID
	}
	return out
}
