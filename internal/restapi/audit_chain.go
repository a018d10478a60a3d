package restapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/auditchain"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// jsonLines is the media type of answers in lines of JSON.
const jsonLines = "application/jsonl"

// patience is how long a reader of such an answer may take for what was
// written last: nobody else can read all of the log meanwhile.
const patience = 30 * time.Second

func (c *call) auditHead() (answer, error) {
	if err := c.Audit.Permit(c.ctx, c.caller, "audit.read"); err != nil {
		return answer{}, err
	}
	c.Audit.Flush(c.ctx)
	if err := c.Chain.Seal(c.ctx); err != nil {
		return answer{}, fault.FromStore(err)
	}
	return ok(api.AuditHead{Head: c.Chain.Head().String(), Keys: auditchain.HexKeys(c.Chain.Keys.Public())})
}

func (c *call) verifyAudit() (answer, error) {
	var given auditchain.Head
	if text := c.query["head"]; text != "" {
		var err error
		if given, err = auditchain.ParseHead(text); err != nil {
			return answer{}, fault.Invalidf("head", "%v", err)
		}
	}
	release, err := c.reserve("audit.verify")
	if err != nil {
		return answer{}, err
	}
	return answer{stream: func(w http.ResponseWriter, r *http.Request) {
		defer release()
		ctx, cancel := c.untilStop(r.Context())
		defer cancel()
		lines := json.NewEncoder(newPieces(w))
		report, err := c.Chain.Verify(ctx, given, func(events int64) {
			if lines.Encode(api.AuditProgress{Events: events}) != nil {
				cancel() // the reader is gone
			}
		})
		detail := map[string]string{"intact": strconv.FormatBool(report.Intact), "events": strconv.FormatInt(report.Events, 10), "head": report.Head}
		c.recordRead(r.Context(), "audit.verify", detail, err)
		if err != nil {
			_ = lines.Encode(api.AuditProgress{Error: c.brokenOff(w, err)})
			return
		}
		_ = lines.Encode(api.AuditProgress{Report: &report}) // the reader may be gone
	}}, nil
}

func (c *call) exportAudit() (answer, error) {
	since, err := c.query.time("since")
	if err != nil {
		return answer{}, err
	}
	until, err := c.query.time("until")
	if err != nil {
		return answer{}, err
	}
	release, err := c.reserve("audit.export")
	if err != nil {
		return answer{}, err
	}
	return answer{stream: func(w http.ResponseWriter, r *http.Request) {
		defer release()
		ctx, cancel := c.untilStop(r.Context())
		defer cancel()
		out := newPieces(w)
		detail := map[string]string{}
		for name, at := range map[string]time.Time{"since": since, "until": until} {
			if !at.IsZero() {
				detail[name] = at.UTC().Format(time.RFC3339Nano)
			}
		}
		c.recordRead(r.Context(), "audit.export", detail, nil) // before, so that it is in it
		c.Audit.Flush(ctx)
		if err := c.Chain.Export(ctx, out, since, until); err != nil {
			_ = json.NewEncoder(out).Encode(api.AuditExportEnd{Type: api.AuditEnd, Error: c.brokenOff(w, err)})
		}
	}}, nil
}

// reserve lets a caller read the whole log who may.
func (c *call) reserve(action string) (release func(), err error) {
	if err := c.Audit.Permit(c.ctx, c.caller, action); err != nil {
		return nil, err
	}
	release, err = c.Chain.Reserve()
	if errors.Is(err, auditchain.ErrBusy) {
		return nil, c.Audit.Refused(c.ctx, c.Now(), c.caller, action, "", fault.Conflictf("%v: try again when that has ended", err))
	}
	if err == nil {
		c.Audit.Flush(c.ctx)
	}
	return release, err
}

func (c *call) recordRead(ctx context.Context, action string, detail map[string]string, err error) {
	e := audit.Event(ctx, c.Now(), c.caller, action, audit.OK)
	e.Detail = detail
	if err != nil {
		e.Outcome, e.Reason = audit.Failed, string(fault.Of(fault.FromStore(err)).Kind)
	}
	c.Audit.Record(e)
}

// untilStop returns a context that also ends when the server begins to stop.
func (c *call) untilStop(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if c.Stopping != nil {
		go func() {
			select {
			case <-c.Stopping:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	return ctx, cancel
}

// brokenOff logs why an answer could not be completed and returns what its
// reader is told.
func (c *call) brokenOff(w http.ResponseWriter, err error) string {
	err = fault.FromStore(err)
	c.Log.Error("an answer was broken off", "request_id", web.RequestID(w), "err", err)
	return fault.Of(err).Message
}

// pieces is an answer whose reader may take some time for each piece, and
// not for ever.
type pieces struct {
	w       http.ResponseWriter
	control *http.ResponseController
	waiting int
}

func newPieces(w http.ResponseWriter) *pieces {
	w.Header().Set("Content-Type", jsonLines)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	web.NoStore(w.Header())
	w.WriteHeader(http.StatusOK)
	return &pieces{w: w, control: http.NewResponseController(w)}
}

// Write sends a line. Short ones go out at once, others as the buffers fill.
func (s *pieces) Write(line []byte) (int, error) {
	_ = s.control.SetWriteDeadline(time.Now().Add(patience)) // not every transport has one
	n, err := s.w.Write(line)
	if s.waiting += n; err == nil && s.waiting < 4096 {
		return n, s.control.Flush()
	}
	return n, err
}
