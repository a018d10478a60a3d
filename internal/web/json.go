package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/latchkey-auth/latchkey/internal/fault"
)

// MaxBody bounds the bodies of requests that Latchkey itself reads, in bytes.
const MaxBody = 64 << 10

// bodyTime is how long a client may take to send such a body.
const bodyTime = 20 * time.Second

// ErrTooLarge says that a body is longer than [MaxBody].
var ErrTooLarge = errors.New("the body is too large")

// ErrMediaType says that a body has a type that is not read here.
var ErrMediaType = errors.New("the body must be application/json")

// ReadBody reads a whole body of at most [MaxBody] bytes; [ErrTooLarge] when
// there is more.
func ReadBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	rc := http.NewResponseController(w)
	limited := rc.SetReadDeadline(time.Now().Add(bodyTime)) == nil
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if limited && err == nil { // else it still holds when the server reads what is left
		_ = rc.SetReadDeadline(time.Time{})
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, ErrTooLarge
	}
	if err != nil {
		return nil, fault.Invalidf("", "the body could not be read")
	}
	return body, nil
}

// ReadJSON reads a JSON object into v, strictly: no unknown, repeated or
// wrongly typed fields, nothing behind the object, valid UTF-8. An empty body
// is an empty object where optional is set. The error is [ErrTooLarge],
// [ErrMediaType] or a fault that says what is wrong.
func ReadJSON(w http.ResponseWriter, r *http.Request, v any, optional bool) error {
	body, err := ReadBody(w, r)
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(body)) == 0 {
		if optional {
			return nil
		}
		return fault.Invalidf("", "a JSON object is needed as the body")
	}
	// A type is insisted on: a page of another origin cannot send this one
	// without asking, and browsers add Basic credentials by themselves (S20).
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || (media != "application/json" && !strings.HasSuffix(media, "+json")) {
		return ErrMediaType
	}
	return decodeStrictly(body, v)
}

func decodeStrictly(body []byte, v any) error {
	if !utf8.Valid(body) {
		return fault.Invalidf("", "the body is not valid UTF-8")
	}
	if !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) { // null would decode into anything
		return fault.Invalidf("", "a JSON object is needed as the body")
	}
	if err := noRepeats(json.NewDecoder(bytes.NewReader(body))); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	var wrongType *json.UnmarshalTypeError
	switch {
	case err == nil:
	case errors.As(err, &wrongType):
		return fault.Invalidf(wrongType.Field, "must be %s, not %s", jsonKind(wrongType.Type.Kind().String()), wrongType.Value)
	case strings.HasPrefix(err.Error(), "json: unknown field "):
		name := strings.Trim(strings.TrimPrefix(err.Error(), "json: unknown field "), `"`)
		return fault.Invalidf(name, "is not a field of this request")
	case strings.Contains(err.Error(), "parsing time"), strings.Contains(err.Error(), "Time.UnmarshalJSON"):
		return fault.Invalidf("", "a time is not of the form 2006-01-02T15:04:05Z (RFC 3339)")
	default:
		return fault.Invalidf("", "the body is not a JSON object of this request: %v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fault.Invalidf("", "there is something behind the JSON object")
	}
	return nil
}

// jsonKind words a Go kind as the JSON type that it is read from.
func jsonKind(kind string) string {
	switch {
	case kind == "slice":
		return "an array"
	case kind == "map" || kind == "struct":
		return "an object"
	case kind == "bool":
		return "true or false"
	case strings.HasPrefix(kind, "int"):
		return "a whole number"
	}
	return "a " + kind
}

const maxDepth = 16

// noRepeats refuses objects with a member twice, of which decoders keep either
// one, and nesting that no request has. In the outermost object, whose members
// are fields, names that differ in case alone are the same: so the decoder
// takes them. Deeper, they are keys that clients choose.
func noRepeats(d *json.Decoder) error {
	type level struct {
		object bool
		key    bool // the next token is a member's name
		seen   map[string]bool
	}
	var stack []level
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fault.Invalidf("", "the body is not JSON: %v", err)
		}
		if n := len(stack); n > 0 && stack[n-1].object && stack[n-1].key {
			if name, ok := t.(string); ok {
				same := name
				if n == 1 {
					same = strings.ToLower(strings.ToUpper(name)) // "ſ" is a lower-case letter of its own
				}
				if stack[n-1].seen[same] {
					return fault.Invalidf(name, "is given twice")
				}
				stack[n-1].seen[same] = true
				stack[n-1].key = false
				continue
			}
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			if len(stack) == maxDepth {
				return fault.Invalidf("", "the JSON is nested too deeply")
			}
			object := t == json.Delim('{')
			stack = append(stack, level{object: object, key: object, seen: map[string]bool{}})
			continue
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:len(stack)-1]
		}
		if n := len(stack); n > 0 && stack[n-1].object {
			stack[n-1].key = true
		}
	}
}

// WriteJSON sends v as JSON. Answers of this server are never stored by caches
// (S13).
func WriteJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "the answer could not be encoded", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	NoStore(h)
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client may be gone
}

// NoStore marks an answer as not to be kept or guessed at.
func NoStore(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
}
