package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/latchkey-auth/latchkey/api"
)

// Head returns what names the present state of the audit log, and the keys that
// exports are checked with. Kept elsewhere, it shows later that nothing was cut
// off.
func (a Audit) Head(ctx context.Context) (api.AuditHead, error) {
	var out api.AuditHead
	err := a.c.do(ctx, call{method: http.MethodGet, path: []string{"audit", "head"}}, &out)
	return out, err
}

// Verify lets the server check the whole audit log. Head is one that was kept,
// or ""; progress, if not nil, is told of the number of events every now and
// then. It takes as long as it takes: only ctx ends it.
func (a Audit) Verify(ctx context.Context, head string, progress func(events int64)) (api.AuditReport, error) {
	q := query{}
	q.text("head", head)
	answer, err := a.lines(ctx, "verify", q)
	if err != nil {
		return api.AuditReport{}, err
	}
	defer answer.Body.Close()
	lines := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer))
	for {
		var line api.AuditProgress
		err := lines.Decode(&line)
		switch {
		case ctx.Err() != nil:
			return api.AuditReport{}, ctx.Err()
		case err != nil:
			return api.AuditReport{}, fmt.Errorf("%w: it ends without a report", ErrForeign)
		case line.Error != "":
			return api.AuditReport{}, fmt.Errorf("%w: %s", ErrUnavailable, a.c.scrub(line.Error))
		case line.Report != nil:
			return *line.Report, nil
		case progress != nil:
			progress(line.Events)
		}
	}
}

// maxExportLine bounds a line of an export.
const maxExportLine = 1 << 20

// lines asks for an answer in lines of JSON.
func (a Audit) lines(ctx context.Context, what string, q query) (*http.Response, error) {
	target := a.c.base + api.Prefix + "/audit/" + what
	if len(q) > 0 {
		target += "?" + url.Values(q).Encode()
	}
	return a.c.openStream(ctx, target, "application/jsonl")
}

// Export writes the events from since on and before until (zero: all) to w, as
// lines of JSON with all that is needed to verify them. An error means that
// what was written is not all.
func (a Audit) Export(ctx context.Context, w io.Writer, since, until time.Time) error {
	q := query{}
	q.time("since", since)
	q.time("until", until)
	answer, err := a.lines(ctx, "export", q)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var last []byte
	lines := bufio.NewReaderSize(answer.Body, maxExportLine)
	for {
		line, err := lines.ReadSlice('\n')
		if len(line) > 0 {
			last = append(last[:0], line...)
			if _, err := w.Write(line); err != nil {
				return fmt.Errorf("write the export: %w", err)
			}
		}
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("%w: an export with a line of more than %d bytes", ErrForeign, maxExportLine)
		}
		var end api.AuditExportEnd
		if json.Unmarshal(last, &end) != nil || end.Type != api.AuditEnd {
			return fmt.Errorf("%w: the export ends without a last line", ErrForeign)
		}
		if end.Error != "" {
			return fmt.Errorf("%w: the export was broken off: %s", ErrUnavailable, a.c.scrub(end.Error))
		}
		return nil
	}
}
