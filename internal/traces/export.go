package traces

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/latchkey-auth/latchkey/internal/secret"
)

// Bounds of what is sent to the collector (S113).
const (
	exportLimit   = 10 * time.Second // for one batch
	maxReply      = 64 << 10         // bytes that are read of an answer
	complainEvery = time.Minute
)

// exporter sends spans in OTLP over HTTP, in its JSON encoding (OpenTelemetry
// Protocol 1.x, "OTLP/HTTP"), which every collector takes that takes the other
// one. The usual exporter brings gRPC along, more than a third of this program.
type exporter struct {
	client        *http.Client
	endpoint      string
	authorization secret.Text
	log           *slog.Logger

	sent, failed atomic.Int64 // spans
	complained   atomic.Int64 // when a failure was last logged, s since 1970
}

func newExporter(o Options) (*exporter, error) {
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, errors.New("the endpoint for traces is not an http or https URL")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	return &exporter{
		endpoint: u.String(), authorization: o.Authorization, log: o.Log,
		client: &http.Client{
			Timeout:       exportLimit,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
				TLSHandshakeTimeout:   5 * time.Second,
				ResponseHeaderTimeout: exportLimit,
				IdleConnTimeout:       time.Minute,
				MaxConnsPerHost:       2, MaxResponseHeaderBytes: 16 << 10, DisableCompression: true,
			},
		},
	}, nil
}

// ExportSpans implements [sdk.SpanExporter]. What cannot be sent is given up:
// traces are not worth memory. It is logged here, so no error is returned.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	if err := e.send(ctx, spans); err != nil {
		e.failed.Add(int64(len(spans)))
		now := time.Now().Unix()
		if last := e.complained.Load(); now-last >= int64(complainEvery/time.Second) && e.complained.CompareAndSwap(last, now) {
			e.log.Warn("traces cannot be sent", "spans", len(spans), "err", err)
		}
		return nil
	}
	e.sent.Add(int64(len(spans)))
	return nil
}

func (e *exporter) send(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	body, err := json.Marshal(documentOf(spans))
	if err != nil {
		return fmt.Errorf("encode spans: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.endpoint, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "latchkey")
	if !e.authorization.Empty() {
		req.Header.Set("Authorization", e.authorization.Reveal())
	}
	res, err := e.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxReply)) // for the connection's sake
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("the collector answered %d", res.StatusCode)
	}
	return nil
}

// Shutdown implements [sdk.SpanExporter].
func (e *exporter) Shutdown(context.Context) error {
	e.client.CloseIdleConnections()
	return nil
}
