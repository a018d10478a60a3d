package traces

import (
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// The messages of OTLP in JSON (opentelemetry-proto, trace/v1/trace.proto): ids
// in hexadecimal digits, enums as numbers, and 64-bit numbers as texts.
type (
	document struct {
		ResourceSpans []resourceSpans `json:"resourceSpans"`
	}
	resourceSpans struct {
		Resource   resourceMessage `json:"resource"`
		ScopeSpans []scopeSpans    `json:"scopeSpans"`
	}
	resourceMessage struct {
		Attributes []keyValue `json:"attributes"`
	}
	scopeSpans struct {
		Scope struct {
			Name string `json:"name"`
		} `json:"scope"`
		Spans []spanMessage `json:"spans"`
	}
	spanMessage struct {
		TraceID    string     `json:"traceId"`
		SpanID     string     `json:"spanId"`
		TraceState string     `json:"traceState,omitempty"`
		ParentID   string     `json:"parentSpanId,omitempty"`
		Flags      uint32     `json:"flags"`
		Name       string     `json:"name"`
		Kind       int        `json:"kind"`
		Start      string     `json:"startTimeUnixNano"`
		End        string     `json:"endTimeUnixNano"`
		Attributes []keyValue `json:"attributes,omitempty"`
		Status     struct {
			Code int `json:"code,omitempty"`
		} `json:"status"`
	}
	keyValue struct {
		Key   string `json:"key"`
		Value any    `json:"value"`
	}
	textValue struct {
		Text string `json:"stringValue"`
	}
	numberValue struct {
		Number string `json:"intValue"`
	}
)

// statusError is STATUS_CODE_ERROR.
const statusError = 2

// documentOf makes the message of some spans, all of which are of one resource
// and one scope.
func documentOf(spans []sdk.ReadOnlySpan) document {
	var group scopeSpans
	var of resourceMessage
	for _, s := range spans {
		group.Scope.Name = s.InstrumentationScope().Name
		of.Attributes = attributes(s.Resource().Attributes())
		group.Spans = append(group.Spans, messageOf(s))
	}
	return document{[]resourceSpans{{of, []scopeSpans{group}}}}
}

func messageOf(s sdk.ReadOnlySpan) spanMessage {
	c := s.SpanContext()
	m := spanMessage{
		TraceID: c.TraceID().String(), SpanID: c.SpanID().String(), TraceState: c.TraceState().String(),
		Flags: uint32(c.TraceFlags()), Name: s.Name(), Kind: int(s.SpanKind()),
		Start: strconv.FormatInt(s.StartTime().UnixNano(), 10), End: strconv.FormatInt(s.EndTime().UnixNano(), 10),
		Attributes: attributes(s.Attributes()),
	}
	if parent := s.Parent(); parent.HasSpanID() {
		m.ParentID = parent.SpanID().String()
	}
	if s.Status().Code == codes.Error {
		m.Status.Code = statusError
	}
	return m
}

func attributes(list []attribute.KeyValue) []keyValue {
	all := make([]keyValue, 0, len(list))
	for _, a := range list {
		var v any = textValue{a.Value.String()}
		if a.Value.Type() == attribute.INT64 {
			v = numberValue{strconv.FormatInt(a.Value.AsInt64(), 10)}
		}
		all = append(all, keyValue{string(a.Key), v})
	}
	return all
}
