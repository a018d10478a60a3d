package extauthz

import (
	"errors"
	"net/http"
	"net/netip"
	"net/textproto"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// errMessage says that a message is not what the filter sends.
var errMessage = errors.New("the message cannot be read")

// asked is what matters here of a CheckRequest (external_auth.proto) with its
// AttributeContext (attribute_context.proto).
type asked struct {
	source       netip.Addr // the client, as Envoy knows it
	method, path string     // the path with its query
	host         string
	header       http.Header
}

// Numbers of fields, each named after the message and the field.
const (
	checkAttributes    = 1
	attributesSource   = 1
	attributesRequest  = 4
	peerAddress        = 1
	addressSocket      = 1
	socketAddress      = 2
	requestHTTP        = 2
	httpMethod         = 2
	httpHeaders        = 3
	httpPath           = 4
	httpHost           = 5
	httpHeaderMap      = 13
	mapHeaders         = 1
	headerKey          = 1
	headerValue        = 2
	headerRawValue     = 3
	responseStatus     = 1
	responseDenied     = 2
	responseOK         = 3
	statusCode         = 1
	deniedStatus       = 1
	deniedHeaders      = 2
	deniedBody         = 3
	httpStatusCode     = 1
	okHeaders          = 2
	okHeadersToRemove  = 5
	optionHeader       = 1
	optionAppendAction = 3

	overwriteOrAdd = 2 // HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD (base.proto)

	codeOK               = 0 // google.rpc.Code
	codePermissionDenied = 7
)

// fields calls take for every field of a message that has a length: strings,
// bytes and messages. Others are skipped.
func fields(b []byte, take func(n protowire.Number, v []byte) error) error {
	for len(b) > 0 {
		n, kind, size := protowire.ConsumeTag(b)
		if size < 0 {
			return errMessage
		}
		b = b[size:]
		if kind != protowire.BytesType {
			if size = protowire.ConsumeFieldValue(n, kind, b); size < 0 {
				return errMessage
			}
			b = b[size:]
			continue
		}
		v, size := protowire.ConsumeBytes(b)
		if size < 0 {
			return errMessage
		}
		b = b[size:]
		if err := take(n, v); err != nil {
			return err
		}
	}
	return nil
}

// into returns a function for fields that descends into the message of one
// field.
func into(field protowire.Number, take func(n protowire.Number, v []byte) error) func(protowire.Number, []byte) error {
	return func(n protowire.Number, v []byte) error {
		if n != field {
			return nil
		}
		return fields(v, take)
	}
}

// readCheck reads a CheckRequest. A field that there should be once counts as
// it is there last, as everywhere in Protocol Buffers.
func readCheck(message []byte) (asked, error) {
	a := asked{header: http.Header{}}
	err := fields(message, into(checkAttributes, func(n protowire.Number, v []byte) error {
		switch n {
		case attributesSource:
			return fields(v, into(peerAddress, into(addressSocket, func(n protowire.Number, v []byte) error {
				if n == socketAddress {
					a.source, _ = netip.ParseAddr(string(v)) // else it is not valid, which is nowhere
					a.source = a.source.Unmap().WithZone("")
				}
				return nil
			})))
		case attributesRequest:
			return fields(v, into(requestHTTP, a.readHTTP))
		}
		return nil
	}))
	return a, err
}

func (a *asked) readHTTP(n protowire.Number, v []byte) error {
	switch n {
	case httpMethod:
		a.method = string(v)
	case httpPath:
		a.path = string(v)
	case httpHost:
		a.host = string(v)
	case httpHeaders:
		return a.readHeader(v)
	case httpHeaderMap: // in place of the other, where Envoy is told to encode_raw_headers
		return fields(v, func(n protowire.Number, header []byte) error {
			if n != mapHeaders {
				return nil
			}
			return a.readHeader(header)
		})
	}
	return nil
}

// readHeader reads one header: an entry of a map or a HeaderValue (base.proto).
// In the map Envoy joins by commas what came twice, which no credential
// survives.
func (a *asked) readHeader(entry []byte) error {
	var key, value string
	err := fields(entry, func(n protowire.Number, v []byte) error {
		switch n {
		case headerKey:
			key = string(v)
		case headerValue, headerRawValue: // only one of them is there
			value = string(v)
		}
		return nil
	})
	if key != "" && !strings.HasPrefix(key, ":") {
		name := textproto.CanonicalMIMEHeaderKey(key)
		a.header[name] = append(a.header[name], value)
	}
	return err
}

// writeAnswer makes a CheckResponse. With a yes the headers go to the service,
// where they take the place of what the client sent under these names, and the
// ones to remove go; with a no they go to the client.
func writeAnswer(status int, text string, h http.Header, remove []string) []byte {
	yes := status == http.StatusOK
	code, field := uint64(codeOK), protowire.Number(responseOK)
	if !yes {
		code, field = codePermissionDenied, responseDenied
	}
	var inner []byte
	if !yes {
		inner = appendMessage(inner, deniedStatus, appendVarint(nil, httpStatusCode, uint64(status)))
		inner = appendMessage(inner, deniedBody, []byte(text))
	}
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	number := protowire.Number(okHeaders)
	if !yes {
		number = deniedHeaders
	}
	for _, name := range names {
		for _, value := range h[name] {
			inner = appendMessage(inner, number, headerOption(name, value, len(h[name]) == 1))
		}
	}
	if yes {
		for _, name := range remove {
			inner = appendMessage(inner, okHeadersToRemove, []byte(name))
		}
	}
	out := appendMessage(nil, responseStatus, appendVarint(nil, statusCode, code))
	return appendMessage(out, field, inner)
}

// headerOption makes a HeaderValueOption. One of several values of a name adds
// to those before it.
func headerOption(name, value string, only bool) []byte {
	header := appendMessage(nil, headerKey, []byte(strings.ToLower(name)))
	header = appendMessage(header, headerValue, []byte(value))
	option := appendMessage(nil, optionHeader, header)
	if only {
		option = appendVarint(option, optionAppendAction, overwriteOrAdd)
	}
	return option
}

func appendMessage(b []byte, n protowire.Number, message []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), message)
}

func appendVarint(b []byte, n protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
}
