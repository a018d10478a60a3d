package drf_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/credential"
	"github.com/latchkey-auth/latchkey/internal/dialect"
	"github.com/latchkey-auth/latchkey/internal/dialect/drf"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/tokens"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// script is testdata/exchanges.json.
type script struct {
	Users []struct{ Name, Password string }
	Steps []step
}

// step is a request, or something that an administrator does.
type step struct {
	Name         string
	Method, Path string
	Headers      [][2]string // each character of a value is one byte
	Body         *string
	Bytes        *string // a body of which each character is one byte
	Chunked      bool
	Keep         string // the name under which the token of the answer is kept

	Do, User string
}

// answer is one of testdata/recorded.json.
type answer struct {
	Name    string
	Status  int
	Headers map[string]string
	Body    string // with the names of tokens for tokens
}

// difference is an answer that is not the recorded one, deliberately.
type difference struct {
	why string

	like   string // the answer is the recorded one of this other exchange; or:
	status int
	body   string

	tail bool // only what follows the dash differs
}

// Reasons for differences that several exchanges share.
const (
	ownParser  = "the text behind the dash is the JSON parser's own"
	bothPaths  = "both forms of a path are served: a redirect would lose the body of a POST"
	noPages    = "there are no pages for people at these paths"
	oneSource  = "two credentials in one request are refused, whatever they are (S62)"
	utf8Only   = "JSON is UTF-8 (RFC 8259), whatever charset the type names"
	smallBody  = "bodies are bounded at 64 KiB, and a longer one gets an answer in JSON"
	wholeParts = "a multipart body that is not whole is refused rather than guessed at"
)

// differences lists all of them by the name of the exchange. Beside these,
// every answer of ours forbids to be stored, and has none of the headers that
// Django's middleware may add.
var differences = map[string]difference{
	"login without a slash":       {why: bothPaths, like: "login with JSON"},
	"method GET without a slash":  {why: bothPaths, like: "method GET"},
	"sample: GET without a slash": {why: bothPaths, like: "sample: GET"},

	"malformed: a brace":                  {why: ownParser, tail: true},
	"malformed: a word":                   {why: ownParser, tail: true},
	"malformed: a comma too many":         {why: ownParser, tail: true},
	"malformed: something behind":         {why: ownParser, tail: true},
	"malformed: NaN":                      {why: ownParser, tail: true},
	"malformed: a line break in a string": {why: ownParser, tail: true},
	"malformed: spaces":                   {why: ownParser, tail: true},
	"malformed: a byte order mark":        {why: ownParser, tail: true},
	"malformed: Latin-1 bytes":            {why: ownParser, tail: true},
	"Latin-1 that the charset names":      {why: utf8Only, status: 400, body: `{"detail":"JSON parse error - the body is not UTF-8"}`},

	"multipart with another boundary": {why: wholeParts, status: 400, body: `{"detail":"Multipart form parse error - the end is missing"}`},
	"multipart that is cut off":       {why: wholeParts, status: 400, body: `{"detail":"Multipart form parse error - the end is missing"}`},

	"chunked body":          {why: "the original overlooks a body whose length is not said beforehand", like: "login with JSON"},
	"body of 100 KB":        {why: smallBody, status: 413, body: `{"detail":"The request body is longer than 65536 bytes."}`},
	"body of 3 MB":          {why: smallBody, status: 413, body: `{"detail":"The request body is longer than 65536 bytes."}`},
	"form with 1001 fields": {why: "the bound on the body bounds the fields too", like: "missing both"},

	"protected: html":                      {why: noPages, like: "protected: good token"},
	"protected: html without a credential": {why: noPages, like: "protected: no credential"},
	"protected: a browser's Accept":        {why: noPages, like: "protected: good token"},

	"protected: two headers of two schemes":          {why: oneSource, like: "protected: two headers"},
	"protected: basic first, base64 without padding": {why: "nothing is gained by refusing it, and other doors take it", like: "protected: basic first, good password"},
}

func TestRecorded(t *testing.T) {
	var in script
	readFile(t, "testdata/exchanges.json", &in)
	var out struct{ Answers []answer }
	readFile(t, "testdata/recorded.json", &out)
	recorded := map[string]answer{}
	for _, a := range out.Answers {
		recorded[a.Name] = a
	}
	c := newCore(t, manyLogins())
	for _, u := range in.Users {
		c.addUser(t, u.Name, u.Password)
	}
	handler := sampleServer(c)
	kept, exchanges := map[string]string{}, 0
	for _, s := range in.Steps {
		switch s.Do {
		case "deactivate":
			c.deactivate(t, s.User)
			continue
		case "revoke":
			c.revoke(t, s.User)
			continue
		}
		exchanges++
		got := s.run(t, handler, kept)
		was, ok := recorded[s.Name]
		if !ok {
			t.Errorf("%s: nothing is recorded: record anew", s.Name)
			continue
		}
		compare(t, was, got, recorded)
	}
	if exchanges != len(recorded) || exchanges < 200 {
		t.Errorf("%d exchanges and %d recorded answers: record anew", exchanges, len(recorded))
	}
	for name := range differences {
		if _, ok := recorded[name]; !ok {
			t.Errorf("the difference %q is of no exchange", name)
		}
	}
}

// compare fails the test if we answer otherwise than the original, or, where
// that is intended, not as intended.
func compare(t *testing.T, was, got answer, recorded map[string]answer) {
	t.Helper()
	want := was
	if d, ok := differences[was.Name]; ok {
		switch {
		case d.tail:
			head, _, _ := strings.Cut(was.Body, " - ")
			if gotHead, tail, _ := strings.Cut(got.Body, " - "); gotHead == head && tail != "" {
				want.Body = got.Body
			}
		case d.like != "":
			want = recorded[d.like]
			want.Name = was.Name
		default:
			want.Status, want.Body = d.status, d.body
			want.Headers = map[string]string{"Allow": "POST, OPTIONS", "Content-Type": "application/json"}
		}
		if cmp.Equal(was, got) {
			t.Errorf("%s: no difference any more (%s)", was.Name, d.why)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: the answer differs from the original's (-want +got):\n%s", was.Name, diff)
	}
}

var placeholder = regexp.MustCompile(`\{\{([^{}]+)\}\}`)

// filled puts in the tokens that were kept, and long text.
func filled(text string, kept map[string]string) string {
	return placeholder.ReplaceAllStringFunc(text, func(found string) string {
		name := strings.Trim(found, "{}")
		if n, ok := strings.CutPrefix(name, "fill:"); ok {
			length, _ := strconv.Atoi(n)
			return strings.Repeat("a", length)
		}
		return kept[name]
	})
}

// latin1 makes a byte of each character.
func latin1(text string) string {
	var b strings.Builder
	for _, r := range text {
		b.WriteByte(byte(r))
	}
	return b.String()
}

func (s step) run(t *testing.T, handler http.Handler, kept map[string]string) answer {
	t.Helper()
	var body io.Reader
	switch {
	case s.Body != nil:
		body = strings.NewReader(filled(*s.Body, kept))
	case s.Bytes != nil:
		body = strings.NewReader(latin1(filled(*s.Bytes, kept)))
	}
	if s.Chunked {
		body = io.MultiReader(body) // of unknown length
	}
	r := httptest.NewRequest(s.Method, s.Path, body)
	for _, h := range s.Headers {
		r.Header.Add(h[0], strings.TrimSpace(latin1(filled(h[1], kept))))
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	if s.Method == http.MethodHead {
		w.Body.Reset()
	}
	if s.Keep != "" {
		var in struct{ Token string }
		if err := json.Unmarshal(w.Body.Bytes(), &in); err != nil || !hex40.MatchString(in.Token) {
			t.Fatalf("%s: the answer %d %s has no token of 40 hexadecimal digits", s.Name, w.Code, w.Body)
		}
		kept[s.Keep] = in.Token
	}
	got := answer{Name: s.Name, Status: w.Code, Headers: map[string]string{}, Body: w.Body.String()}
	for name, token := range kept {
		got.Body = strings.ReplaceAll(got.Body, token, "{{"+name+"}}")
	}
	for _, name := range []string{"Allow", "Content-Type", "Location", "Retry-After", "Vary", "Www-Authenticate"} {
		if values, ok := w.Header()[name]; ok {
			got.Headers[strings.Replace(name, "Www-", "WWW-", 1)] = strings.Join(values, ", ")
		}
	}
	if w.Header().Get("Cache-Control") != "no-store" { // S13
		t.Errorf("%s: the answer may be stored", s.Name)
	}
	return got
}

var hex40 = regexp.MustCompile(`^[0-9a-f]{40}$`)

func readFile(t *testing.T, name string, v any) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(strings.NewReader(string(text)))
	if err := d.Decode(v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// sampleServer serves what testdata/record.py serves.
func sampleServer(c *core) http.Handler {
	log := slog.New(slog.DiscardHandler)
	login := drf.New(drf.Options{Form: tokens.Hex40}, c.accounts, c.tokens, log)
	byToken := dialect.TokenAuth{Tokens: c.tokens}
	byPassword := dialect.BasicAuth{Check: &credential.Checker{Tokens: c.tokens, Passwords: c.accounts}}
	views := map[string]http.Handler{
		"/protected/":         protected(byToken),
		"/protected/basic/":   protected(byPassword, byToken),
		"/protected/session/": protected(noSession{}, byToken),
		"/protected/none/":    protected(),
		"/sample/":            sample(byToken),
		"/methods/":           methods(),
	}
	for what, err := range raised {
		views["/raise/"+what+"/"] = &dialect.View{Methods: map[string]dialect.Method{
			http.MethodGet: func(*dialect.Request) (dialect.Response, error) { return dialect.Response{}, err },
		}, Log: log}
	}
	exact := map[string]http.Handler{}
	for _, path := range login.Paths() {
		exact[path] = login
	}
	for path, view := range views {
		for _, form := range dialect.BothSlashes(path) {
			exact[form] = view
		}
	}
	return web.Identify(nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if view, ok := exact[r.URL.Path]; ok {
			view.ServeHTTP(w, r)
			return
		}
		http.NotFound(w, r)
	}))
}

var raised = map[string]error{
	"denied":       fault.Forbiddenf("not you"),
	"not-found":    fault.NotFoundf("there is no such thing"),
	"throttled":    fault.TooOften(0),
	"throttled-1":  fault.TooOften(500 * time.Millisecond),
	"throttled-60": fault.TooOften(59200 * time.Millisecond),
	"list":         &dialect.Error{Status: http.StatusBadRequest, Body: []string{"An API token was already issued to you."}},
	"server":       io.ErrUnexpectedEOF,
}

// noSession is an authenticator without a challenge that knows nobody.
type noSession struct{}

func (noSession) Authenticate(*http.Request) (*identity.Identity, error) { return nil, nil }
func (noSession) Challenge() string                                      { return "" }

func protected(by ...dialect.Authenticator) http.Handler {
	name := func(r *dialect.Request) (dialect.Response, error) {
		return dialect.Response{Body: struct {
			User string `json:"user"`
		}{r.Identity.Name}}, nil
	}
	return &dialect.View{
		Name: "Protected", Description: "Names whoever asks.", Authenticators: by, Protected: true,
		Methods: map[string]dialect.Method{http.MethodGet: name, http.MethodPost: name},
		Log:     slog.New(slog.DiscardHandler),
	}
}

// validated keeps the order of the sample's fields.
type validated struct {
	Name  *string `json:"name,omitempty"`
	Email *string `json:"email,omitempty"`
	Note  *string `json:"note,omitempty"`
}

func sample(by dialect.Authenticator) http.Handler {
	email := func(text string) string {
		if !strings.Contains(text, "@") {
			return "Enter a valid email address."
		}
		return ""
	}
	get := func(*dialect.Request) (dialect.Response, error) {
		return dialect.Response{Body: struct {
			Text string  `json:"text"`
			None *string `json:"none"`
		}{Text: "<é & \u2028>"}}, nil
	}
	post := func(r *dialect.Request) (dialect.Response, error) {
		in, err := r.Validated()
		if err != nil {
			return dialect.Response{}, err
		}
		sent := func(name string) *string {
			if text, ok := in[name]; ok {
				return &text
			}
			return nil
		}
		return dialect.Response{Status: http.StatusCreated, Body: validated{sent("name"), sent("email"), sent("note")}}, nil
	}
	return &dialect.View{
		Name: "Sample", Description: "Fields of several kinds.", Authenticators: []dialect.Authenticator{by},
		Fields: []dialect.Field{
			{Name: "name", Label: "Name", MaxLength: 8},
			{Name: "email", Label: "Email", Type: "email", Optional: true, Check: email},
			{Name: "note", Label: "Note", Help: "Anything.", Optional: true, AllowBlank: true, KeepSpaces: true},
		},
		Methods: map[string]dialect.Method{http.MethodGet: get, http.MethodPost: post},
		Log:     slog.New(slog.DiscardHandler),
	}
}

func methods() http.Handler {
	answers := func(status int, body any) dialect.Method {
		return func(*dialect.Request) (dialect.Response, error) {
			return dialect.Response{Status: status, Body: body}, nil
		}
	}
	return &dialect.View{
		Name: "Methods",
		Methods: map[string]dialect.Method{
			http.MethodGet: answers(0, []string{}), http.MethodPost: answers(201, struct{}{}),
			http.MethodPut:   answers(0, map[string]float64{"put": 1.5}),
			http.MethodPatch: answers(404, nil), http.MethodDelete: answers(204, nil),
		},
		Log: slog.New(slog.DiscardHandler),
	}
}
