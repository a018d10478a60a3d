package dialect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/tokens"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// fixed is an authenticator with one answer for all.
type fixed struct {
	who       *identity.Identity
	err       error
	challenge string
}

func (f fixed) Authenticate(*http.Request) (*identity.Identity, error) { return f.who, f.err }
func (f fixed) Challenge() string                                      { return f.challenge }

// Each error of the core has one wording, whichever dialect it is told in.
func TestErrorsOfTheCore(t *testing.T) {
	refusal := func(why tokens.Reason) error { return fmt.Errorf("wrapped: %w", &tokens.Refusal{Reason: why}) }
	for _, test := range []struct {
		name      string
		err       error
		challenge string
		status    int
		body      string
		headers   string // WWW-Authenticate and Retry-After
	}{
		{"unknown token", refusal(tokens.ReasonUnknown), "Token", 401, `{"detail":"Invalid token."}`, "Token/"},
		{"malformed token", refusal(tokens.ReasonMalformed), "Token", 401, `{"detail":"Invalid token."}`, "Token/"},
		{"expired token", refusal(tokens.ReasonExpired), "Token", 401, `{"detail":"Invalid token."}`, "Token/"},
		{"revoked token", refusal(tokens.ReasonRevoked), "Token", 401, `{"detail":"Invalid token."}`, "Token/"},
		{"idle token", refusal(tokens.ReasonIdle), "Token", 401, `{"detail":"Invalid token."}`, "Token/"},
		{"rotated token", refusal(tokens.ReasonRotated), "Token", 401, `{"detail":"Invalid token."}`, "Token/"},
		{"token from elsewhere", refusal(tokens.ReasonAddress), "Token", 401, `{"detail":"Invalid token."}`, "Token/"},
		{"disabled account", refusal(tokens.ReasonDisabled), "Token", 401, `{"detail":"User inactive or deleted."}`, "Token/"},
		{"refused without a challenge", refusal(tokens.ReasonUnknown), "", 403, `{"detail":"Invalid token."}`, "/"},
		{"bad credential", fault.Unauthenticatedf("no"), "Token", 401, `{"detail":"Incorrect authentication credentials."}`, "Token/"},
		{"bad credential without a challenge", fault.Unauthenticatedf("no"), "", 403, `{"detail":"Incorrect authentication credentials."}`, "/"},
		{"another scheme's challenge", AuthenticationFailed("No."), `Bearer realm="api"`, 401, `{"detail":"No."}`, `Bearer realm="api"/`},
		{"invalid field", fault.Invalidf("name", "is too long"), "Token", 400, `{"name":["is too long"]}`, "/"},
		{"invalid", fault.Invalidf("", "makes no sense"), "Token", 400, `{"detail":"makes no sense"}`, "/"},
		{"forbidden", fault.Needs("latchkey:tokens:write"), "Token", 403, `{"detail":"You do not have permission to perform this action."}`, "/"},
		{"not found", fault.NotFoundf("no token tok_1"), "Token", 404, `{"detail":"Not found."}`, "/"},
		{"conflict", fault.Conflictf("it exists already"), "Token", 409, `{"detail":"it exists already"}`, "/"},
		{"limit", fault.Limitf("too many tokens"), "Token", 403, `{"detail":"too many tokens"}`, "/"},
		{"throttled", fault.TooOften(0), "Token", 429, `{"detail":"Request was throttled."}`, "/"},
		{"throttled for a moment", fault.TooOften(time.Millisecond), "Token", 429, `{"detail":"Request was throttled. Expected available in 1 second."}`, "/1"},
		{"throttled for a while", fault.TooOften(90*time.Second + 1), "Token", 429, `{"detail":"Request was throttled. Expected available in 91 seconds."}`, "/91"},
		{"unavailable", fault.Unavailablef(errors.New("dial tcp 10.0.0.1"), "the database does not answer"), "Token", 503, `{"detail":"Service temporarily unavailable, try again later."}`, "/1"},
		{"too large", web.ErrTooLarge, "Token", 413, `{"detail":"The request body is longer than 65536 bytes."}`, "/"},
		{"bug", errors.New("nil map at /src/secret.go"), "Token", 500, `{"detail":"A server error occurred."}`, "/"},
		{"two fields", Invalid(FieldError{"uid", []string{"a", "b"}}, FieldError{"token", []string{"c"}}), "Token", 400, `{"uid":["a","b"],"token":["c"]}`, "/"},
		{"an error of its own", &Error{Status: 418, Body: []string{"tea"}}, "Token", 418, `["tea"]`, "/"},
		{"an error without a body", &Error{Status: 404}, "Token", 404, ``, "/"},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := &View{
				Authenticators: []Authenticator{fixed{challenge: test.challenge}, fixed{err: test.err, challenge: "Second"}},
				Log:            slog.New(slog.DiscardHandler),
			}
			w := httptest.NewRecorder()
			v.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			headers := w.Header().Get("WWW-Authenticate") + "/" + w.Header().Get("Retry-After")
			if w.Code != test.status || w.Body.String() != test.body || headers != test.headers {
				t.Errorf("answer to %v:\ngot  %d %s %q\nwant %d %s %q", test.err, w.Code, w.Body, headers, test.status, test.body, test.headers)
			}
		})
	}
}

// The first authenticator that knows somebody or fails is the last one asked.
func TestChainOfAuthenticators(t *testing.T) {
	alice, bob := &identity.Identity{Name: "alice"}, &identity.Identity{Name: "bob"}
	wrong := AuthenticationFailed("Wrong.")
	for _, test := range []struct {
		chain     []Authenticator
		protected bool
		want      string
	}{
		{nil, false, "nobody"},
		{nil, true, `{"detail":"You do not have permission to perform this action."}`},
		{[]Authenticator{fixed{}}, false, "nobody"},
		{[]Authenticator{fixed{}}, true, `{"detail":"Authentication credentials were not provided."}`},
		{[]Authenticator{fixed{}, fixed{who: alice}, fixed{who: bob}}, true, "alice"},
		{[]Authenticator{fixed{who: alice}, fixed{err: wrong}}, true, "alice"},
		{[]Authenticator{fixed{err: wrong}, fixed{who: alice}}, true, `{"detail":"Wrong."}`},
		{[]Authenticator{fixed{err: wrong}}, false, `{"detail":"Wrong."}`},
	} {
		v := &View{
			Authenticators: test.chain, Protected: test.protected,
			Methods: map[string]Method{"GET": func(r *Request) (Response, error) {
				if r.Identity == nil {
					return Response{Body: "nobody"}, nil
				}
				return Response{Body: r.Identity.Name}, nil
			}},
			Log: slog.New(slog.DiscardHandler),
		}
		w := httptest.NewRecorder()
		v.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if got := strings.Trim(w.Body.String(), `"`); got != test.want {
			t.Errorf("%+v, protected %v: got %s, want %s", test.chain, test.protected, got, test.want)
		}
	}
}

// An answer that cannot be encoded is an error, and never half of one.
func TestNotEncodable(t *testing.T) {
	var log bytes.Buffer
	v := &View{
		Methods: map[string]Method{"GET": func(*Request) (Response, error) { return Response{Body: math.NaN()}, nil }},
		Log:     slog.New(slog.NewTextHandler(&log, nil)),
	}
	w := httptest.NewRecorder()
	v.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 500 || w.Body.String() != `{"detail":"A server error occurred."}` || log.Len() == 0 {
		t.Errorf("got %d %s and the log %q, want 500 and a line in the log", w.Code, w.Body, log.String())
	}
}

func TestPythonNumber(t *testing.T) {
	// As str(json.loads(literal)) of Python 3.11 has them.
	for literal, want := range map[string]string{
		"0": "0", "-0": "0", "-5": "-5", "12345678901234567890123": "12345678901234567890123",
		"0.0": "0.0", "-0.0": "-0.0", "1.50": "1.5", "1e3": "1000.0", "1E3": "1000.0", "1e-3": "0.001",
		"1e15": "1000000000000000.0", "1e16": "1e+16", "123456789012345680.0": "1.2345678901234568e+17",
		"0.0001": "0.0001", "0.00001": "1e-05", "1e400": "inf", "-1e400": "-inf", "1e-400": "0.0", "5e-324": "5e-324",
		"0.1": "0.1", "2.675": "2.675", "1e22": "1e+22", "9007199254740993.0": "9007199254740992.0",
	} {
		if got := pythonNumber(literal); got != want {
			t.Errorf("pythonNumber(%s) = %s, want %s", literal, got, want)
		}
	}
}

func TestLoneSurrogate(t *testing.T) {
	for raw, want := range map[string]rune{
		`""`: 0, `"abc"`: 0, `"\ud83d\ude00"`: 0, `"\\ud800"`: 0, `"\u00e9\n\""`: 0, `"\ud83d\ude00\ud83d\ude00"`: 0,
		`"\ud800"`: 0xd800, `"a\udfffb"`: 0xdfff, `"\ud83d\ud83d\ude00"`: 0xd83d, `"\ude00\ud83d"`: 0xde00,
		`"\ud83d\\ude00"`: 0xd83d, `"\ud83d\u0041"`: 0xd83d, `"\ud83dx"`: 0xd83d, `"\\\ud800"`: 0xd800, `"\uD800\uDC00\uDC01"`: 0xdc01,
	} {
		if got := loneSurrogate([]byte(raw)); got != want {
			t.Errorf("loneSurrogate(%s) = %X, want %X", raw, got, want)
		}
	}
}

func TestParseForm(t *testing.T) {
	for body, want := range map[string]map[string]string{
		"":                {},
		"a=1&b=2":         {"a": "1", "b": "2"},
		"a=1&a=2":         {"a": "2"},
		"a&&b=":           {"a": "", "b": ""},
		"a=b=c":           {"a": "b=c"},
		"a=1;b=2":         {"a": "1;b=2"},
		"a=%2B+%c3%A9":    {"a": "+ é"},
		"a=%&b=%4&c=%zz1": {"a": "%", "b": "%4", "c": "%zz1"},
		"%61=x":           {"a": "x"},
		"a=%ff":           {"a": "\ufffd"},
		"a=\xf6%C3%B6":    {"a": "öö"},
		"=x":              {"": "x"},
	} {
		got := map[string]string{}
		for name, v := range parseForm([]byte(body)).fields {
			got[name] = v.text
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("parseForm(%q) (-want +got):\n%s", body, diff)
		}
	}
}

// Whatever a body holds, reading it ends with text or with an error of the
// client's.
func FuzzBody(f *testing.F) {
	for _, seed := range []struct{ media, body string }{
		{JSON, `{"a":"x","b":null,"c":1.5e3,"d":[{}],"e":"\ud800\ud83d\ude00"}`}, {JSON, `[1]`}, {JSON, "\xff"}, {JSON, `"\u`},
		{Form, "a=%zz&b=+%C3%A9&&c"}, {Form, "\xf6=%f6"},
		{Multipart + "; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nv\r\n--x--\r\n"},
		{Multipart + "; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"a\"; filename=\"f\"\r\n\r\nv\r\n--x--"},
		{Multipart, "--x--"}, {`*/*; q="`, "a=b"}, {"", "{}"}, {"a/b;c;=d;e=", "x"},
	} {
		f.Add(seed.media, []byte(seed.body))
	}
	v := &View{Fields: []Field{{Name: "a"}, {Name: "b", Optional: true, KeepSpaces: true, MaxLength: 3}}, Log: slog.New(slog.DiscardHandler)}
	f.Fuzz(func(t *testing.T, media string, body []byte) {
		r := httptest.NewRequest("POST", "/", bytes.NewReader(body))
		r.Header["Content-Type"] = []string{media}
		texts, err := (&Request{Request: r, view: v, w: httptest.NewRecorder()}).Validated()
		if err != nil {
			if e, _ := failure(err); e.Status < 400 || e.Status > 499 {
				t.Errorf("Validated() of %q %q: %v, want a fault of the client's", media, body, err)
			}
			return
		}
		if texts["a"] == "" || utf8.RuneCountInString(texts["b"]) > 3 {
			t.Errorf("Validated() of %q %q = %q, which the fields do not allow", media, body, texts)
		}
		for name, text := range texts {
			if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
				t.Errorf("Validated() of %q %q: %s is %q, want text without NUL", media, body, name, text)
			}
		}
	})
}

// A negotiated answer is one of those that there are.
func FuzzAccept(f *testing.F) {
	for _, seed := range []string{"", "*/*", "application/json; indent=4", "text/html;q=0.9, */*", "a/b;;=;x=\"", ",,,", "application/json;indent=99999999999999999999"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, accept string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Accept"] = []string{accept}
		indent, err := (&View{}).negotiate(r)
		if indent < 0 || indent > maxIndent || err != nil && indent != 0 {
			t.Errorf("negotiate(%q) = %d, %v, want 0 to %d", accept, indent, err, maxIndent)
		}
	})
}

// Numbers of any spelling become text that means the same number.
func FuzzPythonNumber(f *testing.F) {
	for _, seed := range []string{"0", "-0", "1.5", "1e16", "-1E-7", "123456789.125"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, literal string) {
		var want float64
		if json.Unmarshal([]byte(literal), &want) != nil || strings.TrimSpace(literal) != literal || literal == "null" {
			t.Skip("no JSON number that Go can hold")
		}
		var got float64
		if err := json.Unmarshal([]byte(pythonNumber(literal)), &got); err != nil || got != want {
			t.Errorf("pythonNumber(%s) = %s, %v, want the same number", literal, pythonNumber(literal), err)
		}
	})
}
