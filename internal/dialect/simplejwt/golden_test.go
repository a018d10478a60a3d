package simplejwt_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/dialect/simplejwt"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// script is testdata/exchanges.json.
type script struct {
	Parts []struct {
		Name  string
		Users []struct{ Name, Password string }
		Steps []step
	}
}

// step is a request, or something that happens in between.
type step struct {
	Name         string
	Method, Path string
	Headers      [][2]string
	JSON         json.RawMessage
	Body         *string
	Keep         keep

	Do, User, Password string

	Of, Sign string // of a forgery
	Set      map[string]any
	Drop     []string
	Header   map[string]any
}

// keep is under which names the tokens of an answer are kept, by their fields;
// the one name of a forgery has the field "".
type keep map[string]string

func (k *keep) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*k = keep{"": one}
		return nil
	}
	return json.Unmarshal(text, (*map[string]string)(k))
}

// answer is one of testdata/recorded.json.
type answer struct {
	Name    string
	Status  int
	Headers map[string]string
	Body    string // with the names of tokens for tokens
	Tokens  map[string]described
}

// described is what a token is like.
type described struct{ Header, Claims map[string]any }

// settings are the options for the parts of the script.
var settings = map[string]simplejwt.Options{
	"as installed": {},
	"rotating":     {Rotate: true},
	"other names": {
		Names: simplejwt.Names{
			User: "uid", Type: "kind", ID: "id", Renew: "until", Issuer: "https://id.example.com", Audience: "things",
		},
		Lives:  simplejwt.Lives{Access: time.Minute, Refresh: 2 * time.Hour, Sliding: 90 * time.Second, SlidingRefresh: time.Hour},
		Leeway: 30 * time.Second,
	},
	"a shared secret": {},
}

func TestRecorded(t *testing.T) {
	var in script
	readFile(t, "testdata/exchanges.json", &in)
	var out struct {
		Parts []struct {
			Name    string
			Answers []answer
		}
	}
	readFile(t, "testdata/recorded.json", &out)
	if len(in.Parts) != len(out.Parts) || len(in.Parts) != len(settings) {
		t.Fatalf("%d parts, %d recorded and %d with settings: record anew", len(in.Parts), len(out.Parts), len(settings))
	}
	for i, part := range in.Parts {
		t.Run(part.Name, func(t *testing.T) {
			recorded := map[string]answer{}
			for _, a := range out.Parts[i].Answers {
				recorded[a.Name] = a
			}
			opts, ok := settings[part.Name]
			if !ok || out.Parts[i].Name != part.Name {
				t.Fatalf("the part %q has no settings, or is not recorded", part.Name)
			}
			p := newProject(t, opts)
			for _, u := range part.Users {
				p.addUser(t, u.Name, u.Password)
			}
			for _, s := range part.Steps {
				if s.Do != "" {
					p.act(t, s)
					continue
				}
				got := p.run(t, s)
				if was, ok := recorded[s.Name]; !ok {
					t.Errorf("%s: nothing is recorded: record anew", s.Name)
				} else if s.Path != "/protected/" { // doors answer in their own words
					compare(t, part.Name, was, got, recorded)
				}
			}
			for key := range differences {
				if name, ok := strings.CutPrefix(key, part.Name+": "); ok && recorded[name].Name == "" {
					t.Errorf("the difference %q is of no exchange", key)
				}
			}
		})
	}
}

// compare fails the test if we answer otherwise than the original, or, where
// that is intended, not as intended.
func compare(t *testing.T, part string, was, got answer, recorded map[string]answer) {
	t.Helper()
	want := was
	if part == "other names" && want.Headers["WWW-Authenticate"] != "" { // doors take Bearer alone
		want.Headers["WWW-Authenticate"] = `Bearer realm="api"`
	}
	if part == "a shared secret" {
		for _, token := range want.Tokens { // ours are never signed by a shared secret
			token.Header["alg"] = "ES256"
		}
	}
	if d, ok := differences[part+": "+was.Name]; ok {
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
			want.Status, want.Body, want.Tokens = d.status, d.body, nil
			want.Headers = map[string]string{"Allow": "POST, OPTIONS", "Content-Type": "application/json", "Vary": "Accept"}
			if d.status == http.StatusUnauthorized {
				want.Headers["WWW-Authenticate"] = `Bearer realm="api"`
			}
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
func (p *project) filled(text string) string {
	return placeholder.ReplaceAllStringFunc(text, func(found string) string {
		name := strings.Trim(found, "{}")
		if n, ok := strings.CutPrefix(name, "fill:"); ok {
			length, _ := strconv.Atoi(n)
			return strings.Repeat("a", length)
		}
		return p.kept[name]
	})
}

var signed = regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.[\w-]+`)

func (p *project) run(t *testing.T, s step) answer {
	t.Helper()
	var body io.Reader
	headers := s.Headers
	switch {
	case s.JSON != nil:
		body = strings.NewReader(p.filled(string(s.JSON)))
		headers = append([][2]string{{"Content-Type", "application/json"}}, headers...)
	case s.Body != nil:
		body = strings.NewReader(p.filled(*s.Body))
	}
	if s.Method == "" {
		s.Method = http.MethodPost
	}
	r := httptest.NewRequest(s.Method, s.Path, body)
	for _, h := range headers {
		r.Header.Add(h[0], p.filled(h[1]))
	}
	w := httptest.NewRecorder()
	web.Identify(nil, p.handler).ServeHTTP(w, r)
	if s.Method == http.MethodHead {
		w.Body.Reset()
	}
	got := answer{Name: s.Name, Status: w.Code, Headers: map[string]string{}, Body: w.Body.String()}
	var fields map[string]any
	_ = json.Unmarshal(w.Body.Bytes(), &fields)
	for field, name := range s.Keep {
		text, ok := fields[field].(string)
		if !ok {
			t.Errorf("%s: the answer %d %s has no %s", s.Name, w.Code, w.Body, field)
			continue
		}
		p.kept[name] = text
		if got.Tokens == nil {
			got.Tokens = map[string]described{}
		}
		got.Tokens[field] = p.describe(t, text)
	}
	for name, token := range p.kept {
		got.Body = strings.ReplaceAll(got.Body, token, "{{"+name+"}}")
	}
	got.Body = signed.ReplaceAllString(got.Body, "(a token)")
	for _, name := range []string{"Allow", "Content-Type", "Location", "Retry-After", "Vary", "Www-Authenticate"} {
		if values, ok := w.Header()[name]; ok {
			got.Headers[strings.Replace(name, "Www-", "WWW-", 1)] = strings.Join(values, ", ")
		}
	}
	if s.Path != "/protected/" && w.Header().Get("Cache-Control") != "no-store" { // S13
		t.Errorf("%s: the answer may be stored", s.Name)
	}
	return got
}

func readFile(t *testing.T, name string, v any) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}
