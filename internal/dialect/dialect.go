// Package dialect is what the dialects of Django REST framework's ecosystem
// share: authtoken, and those that follow it. A [View] goes through a request
// as the framework's APIView does, step by step and in its order: what the
// client accepts, who it is, whether it may, the method, the body, the fields.
// What is answered in each case, to the letter, comes from there too
// (rest_framework of version 3.18: views.py, negotiation.py, request.py,
// fields.py, exceptions.py).
//
// It knows no endpoint: those are the packages below this one. Other protocols
// (OAuth 2.0, container registries) have nothing to do with it.
package dialect

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// View is one endpoint. Name, Methods and Log are needed.
type View struct {
	Name        string // of the original's view, as OPTIONS shows it
	Description string // likewise

	// JSONOnly says that the original has no other renderer than JSON here.
	// Elsewhere it has pages for people too: we answer browsers that ask for
	// one with JSON.
	JSONOnly bool

	// Parses lists the media types of bodies, in the order in which OPTIONS
	// shows them; nil is the framework's default: JSON, form, multipart.
	Parses []string

	// Authenticators are asked in this order for a credential, also where
	// nobody needs one. The first one's challenge is that of the view.
	Authenticators []Authenticator

	// Protected refuses requests without a credential.
	Protected bool

	// Fields are those of POST, in the order in which they are checked.
	Fields []Field

	Methods map[string]Method // by the name of the method; HEAD and OPTIONS come by themselves
	Log     *slog.Logger
}

// Method answers a request that has come through all steps before it. What an
// error says to the client is decided by [View], for all dialects alike; one
// of type [*Error] says it itself.
type Method func(*Request) (Response, error)

// Request is a request that is being answered.
type Request struct {
	*http.Request
	Identity *identity.Identity // nil: nobody

	view *View
	w    http.ResponseWriter
}

// Response is what a [Method] answers.
type Response struct {
	Status int // default 200
	Body   any // encoded as JSON; nil: no body at all
}

// Media types of bodies.
const (
	JSON      = "application/json"
	Form      = "application/x-www-form-urlencoded"
	Multipart = "multipart/form-data"
)

const html = "text/html"

// callTime bounds how long a request may take, so that none hangs on a
// database.
const callTime = 30 * time.Second

// BothSlashes returns the path with and without a slash at its end. Django
// redirects the one to the other, which loses the body of a POST; we serve
// both.
func BothSlashes(path string) []string {
	bare := strings.TrimRight(path, "/")
	return []string{bare + "/", bare}
}

// ServeHTTP answers a request.
func (v *View) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), callTime)
	defer cancel()
	r = r.WithContext(ctx)
	indent, err := v.negotiate(r)
	var answer Response
	if err == nil {
		answer, err = v.answer(w, r)
	}
	if err != nil {
		answer = v.failed(w, err)
	}
	v.write(w, answer, indent)
}

// answer goes through the steps behind negotiation.
func (v *View) answer(w http.ResponseWriter, r *http.Request) (Response, error) {
	who, err := v.authenticate(r)
	if err != nil {
		return Response{}, err
	}
	method := v.method(r.Method)
	if method == nil {
		return Response{}, Detail(http.StatusMethodNotAllowed, `Method "`+r.Method+`" not allowed.`)
	}
	return method(&Request{Request: r, Identity: who, view: v, w: w})
}

func (v *View) method(name string) Method {
	switch {
	case v.Methods[name] != nil:
		return v.Methods[name]
	case name == http.MethodHead:
		return v.Methods[http.MethodGet]
	case name == http.MethodOptions:
		return v.metadata
	}
	return nil
}

// methodOrder is the one of Django's View.http_method_names.
var methodOrder = []string{
	http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch,
	http.MethodDelete, http.MethodHead, http.MethodOptions,
}

// allow is the value of the Allow header, which every answer has.
func (v *View) allow() string {
	var names []string
	for _, name := range methodOrder {
		if v.method(name) != nil {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// write sends an answer. Answers are never stored by caches (S13).
func (v *View) write(w http.ResponseWriter, answer Response, indent int) {
	h := w.Header()
	h.Set("Allow", v.allow())
	if !v.JSONOnly {
		h.Set("Vary", "Accept")
	}
	web.NoStore(h)
	if answer.Status == 0 {
		answer.Status = http.StatusOK
	}
	if answer.Body == nil {
		w.WriteHeader(answer.Status)
		return
	}
	body, err := encode(answer.Body)
	if err != nil {
		v.Log.Error("an answer cannot be encoded", "request_id", web.RequestID(w), "err", err)
		answer.Status, body = http.StatusInternalServerError, []byte(`{"detail":"`+textServerError+`"}`)
	}
	if indent > 0 {
		var wide bytes.Buffer
		if json.Indent(&wide, body, "", strings.Repeat(" ", indent)) == nil {
			body = wide.Bytes()
		}
	}
	h.Set("Content-Type", JSON)
	w.WriteHeader(answer.Status)
	_, _ = w.Write(body) // the client may be gone
}

// encode returns v as the framework's renderer writes it: compact, and with
// nothing escaped that JSON does not ask for but U+2028 and U+2029.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// object is a JSON object whose members keep their order.
type object []member

type member struct {
	name  string
	value any
}

// MarshalJSON encodes the members one after the other.
func (o object) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, m := range o {
		if i > 0 {
			b = append(b, ',')
		}
		name, err := encode(m.name)
		if err != nil {
			return nil, err
		}
		value, err := encode(m.value)
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, name...), ':'), value...)
	}
	return append(b, '}'), nil
}
