// Package traces makes spans of requests, of what they ask of the store and of
// what the gateway passes on, and sends them to a collector in OTLP over HTTP.
//
// What goes into a span is named here one by one, so that nothing of a header,
// a cookie, a query or a body gets there by accident (S110); of a path, what
// looks like a token is left out. Traces are off unless there is a [Tracer];
// nobody pays for one that is not there.
package traces

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/latchkey-auth/latchkey/internal/secret"
)

// Options say where spans go. Endpoint and Log are needed.
type Options struct {
	Endpoint      string      // a URL; without a path, /v1/traces is meant
	Authorization secret.Text // the header for the collector; empty: none
	Percent       int         // of requests that are traced, 0 to 100
	Version       string      // of this program
	Log           *slog.Logger
}

// Tracer makes spans and sends them in batches. Its methods may be called from
// many goroutines.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	exporter *exporter
	carrier  propagation.TraceContext
}

// New returns a tracer. It connects to nothing yet.
func New(o Options) (*Tracer, error) {
	e, err := newExporter(o)
	if err != nil {
		return nil, err
	}
	sampled := sdk.TraceIDRatioBased(float64(o.Percent) / 100)
	t := &Tracer{exporter: e}
	t.provider = sdk.NewTracerProvider(
		sdk.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "latchkey"), attribute.String("service.version", o.Version))),
		sdk.WithSampler(sdk.ParentBased(sampled, sdk.WithRemoteParentSampled(sampled))),
		sdk.WithBatcher(e, sdk.WithMaxQueueSize(4096), sdk.WithMaxExportBatchSize(512), sdk.WithExportTimeout(exportLimit)),
		sdk.WithRawSpanLimits(sdk.SpanLimits{AttributeValueLengthLimit: maxValue, AttributeCountLimit: 16}),
	)
	t.tracer = t.provider.Tracer("github.com/latchkey-auth/latchkey")
	return t, nil
}

// maxValue bounds the texts in spans, in bytes.
const maxValue = 256

// Request begins the span of a request at a door, as a part of the trace that
// the request says it belongs to. The request that it returns carries the span;
// the function ends it, with the status that was answered, or 0 for none.
func (t *Tracer) Request(r *http.Request, door, requestID string) (*http.Request, func(status int)) {
	ctx := t.carrier.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx, span := t.tracer.Start(ctx, method(r.Method)+" "+door, trace.WithSpanKind(trace.SpanKindServer))
	r = r.WithContext(ctx)
	if !span.IsRecording() {
		return r, func(int) { span.End() }
	}
	span.SetAttributes(
		attribute.String("http.request.method", method(r.Method)),
		attribute.String("url.path", cleanPath(r.URL.Path)),
		attribute.String("latchkey.door", door),
		attribute.String("latchkey.request_id", requestID),
	)
	return r, func(status int) {
		ended(span, status, status >= http.StatusInternalServerError)
	}
}

// Upstream begins the span of a request that is passed on, and puts into its
// header which trace it belongs to. The function ends it when the head of the
// answer is there, or with 0 when there is none.
func (t *Tracer) Upstream(ctx context.Context, route string, h http.Header) func(status int) {
	ctx, span := t.tracer.Start(ctx, "upstream "+route, trace.WithSpanKind(trace.SpanKindClient))
	h.Del("Tracestate") // else one without entries would leave the client's
	t.carrier.Inject(ctx, propagation.HeaderCarrier(h))
	if !span.IsRecording() {
		return func(int) { span.End() }
	}
	span.SetAttributes(attribute.String("latchkey.route", route))
	return func(status int) {
		ended(span, status, status == 0 || status >= http.StatusBadRequest)
	}
}

// Store begins the span of a call of the store, within a request that is
// traced; what the server does by itself is not. The function ends it.
func (t *Tracer) Store(ctx context.Context, kind, call string) (context.Context, func(failed bool)) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, func(bool) {}
	}
	ctx, span := t.tracer.Start(ctx, "store "+call, trace.WithSpanKind(trace.SpanKindClient))
	span.SetAttributes(attribute.String("db.operation.name", call), attribute.String("latchkey.call", kind))
	return ctx, func(failed bool) {
		if failed {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}

func ended(span trace.Span, status int, failed bool) {
	if status != 0 {
		span.SetAttributes(attribute.Int("http.response.status_code", status))
	}
	if failed {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

// Spans returns how many spans were sent, and how many could not be.
func (t *Tracer) Spans() (sent, failed int64) {
	return t.exporter.sent.Load(), t.exporter.failed.Load()
}

// Close sends what waits, for a few seconds at most.
func (t *Tracer) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.exporter.log.Warn("the last spans could not be sent", "err", err)
	}
}
