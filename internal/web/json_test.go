package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/fault"
)

// order is a request with a field of each kind that the API has.
type order struct {
	Name   string            `json:"name"`
	Count  int               `json:"count,omitempty"`
	Wait   *int64            `json:"wait,omitempty"`
	Live   bool              `json:"live,omitempty"`
	Tags   []string          `json:"tags,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
	Until  time.Time         `json:"until,omitzero"`
}

func readOrder(body, mediaType string, optional bool) (order, error) {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	if mediaType != "" {
		r.Header.Set("Content-Type", mediaType)
	}
	var o order
	err := ReadJSON(httptest.NewRecorder(), r, &o, optional)
	return o, err
}

func nested(depth int) string {
	return `{"tags":` + strings.Repeat("[", depth-1) + strings.Repeat("]", depth-1) + "}"
}

func TestReadJSON(t *testing.T) {
	wait := int64(60)
	tests := []struct {
		body string
		want order
	}{
		{`{}`, order{}},
		{" \t\r\n{ } \r\n", order{}},
		{`{"name":"a"}`, order{Name: "a"}},
		{`{"name":null,"wait":null,"labels":null}`, order{}},
		{`{"name":"\u00e9","count":-3,"wait":60,"live":true,"tags":["x","y"],"labels":{"a":"b"},"until":"2026-01-02T03:04:05Z"}`, order{
			Name: "é", Count: -3, Wait: &wait, Live: true, Tags: []string{"x", "y"}, Labels: map[string]string{"a": "b"},
			Until: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		}},
		{`{"labels":{"a":"1","A":"2"}}`, order{Labels: map[string]string{"a": "1", "A": "2"}}}, // keys of clients differ in case
		{`{"labels":{"name":"1"},"name":"a","tags":["name","name"]}`, order{Name: "a", Labels: map[string]string{"name": "1"}, Tags: []string{"name", "name"}}},
	}
	for _, tt := range tests {
		got, err := readOrder(tt.body, "application/json", false)
		if err != nil {
			t.Errorf("ReadJSON(%s) = %v, want no error", tt.body, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("ReadJSON(%s), -want +got:\n%s", tt.body, diff)
		}
	}
}

func TestReadJSONRefuses(t *testing.T) {
	const (
		notObject = "a JSON object is needed as the body"
		notJSON   = "the body is not JSON: "
		twice     = "is given twice"
		deep      = "the JSON is nested too deeply"
		badTime   = "a time is not of the form "
	)
	tests := []struct {
		body    string
		field   string
		message string // what the message begins with
	}{
		{"", "", notObject},
		{" \n", "", notObject},
		{"null", "", notObject},
		{"[]", "", notObject},
		{`"name"`, "", notObject},
		{"7", "", notObject},
		{"\ufeff{}", "", notObject},
		{"name=a", "", notObject},

		{`{"name":"a"`, "", "the body is not a JSON object of this request: unexpected EOF"},
		{`{"name"}`, "", notJSON},
		{`{name:"a"}`, "", notJSON},
		{`{'name':'a'}`, "", notJSON},
		{`{"name":"a",}`, "", notJSON},
		{`{"count":NaN}`, "", notJSON},
		{`{"count":01}`, "", notJSON},
		{"{\"name\":\"a\nb\"}", "", notJSON},
		{`{"name":"a"} x`, "", notJSON},
		{`{"name":"a"}}`, "", notJSON},
		{`{"name":"a"} {"name":"b"}`, "", "there is something behind the JSON object"},
		{`{"name":"a"} 7`, "", "there is something behind the JSON object"},

		{`{"name":"a","colour":"red"}`, "colour", "is not a field of this request"},
		{`{"":1}`, "", "is not a field of this request"},

		{`{"name":"a","name":"a"}`, "name", twice},
		{`{"name":"a","\u006eame":"b"}`, "name", twice},
		{`{"name":"a","NAME":"b"}`, "NAME", twice},            // the decoder takes both for the field
		{`{"until":null,"tagS":[],"tagſ":[]}`, "tagſ", twice}, // and this, which Unicode folds to an s
		{`{"labels":{"a":"1","a":"2"}}`, "a", twice},
		{`{"colour":{"a":{"b":1,"b":2}}}`, "b", twice},
		{`{"tags":[{"a":1,"a":2}]}`, "a", twice},

		{`{"name":7}`, "name", "must be a string, not number"},
		{`{"name":{}}`, "name", "must be a string, not object"},
		{`{"count":"7"}`, "count", "must be a whole number, not string"},
		{`{"count":1.5}`, "count", "must be a whole number, not number 1.5"},
		{`{"count":1e99}`, "count", "must be a whole number, not number 1e99"},
		{`{"wait":true}`, "wait", "must be a whole number, not bool"},
		{`{"wait":9223372036854775808}`, "wait", "must be a whole number, not number 9223372036854775808"},
		{`{"live":"yes"}`, "live", "must be true or false, not string"},
		{`{"tags":"a"}`, "tags", "must be an array, not string"},
		{`{"tags":[1]}`, "tags", "must be a string, not number"},
		{`{"labels":[]}`, "labels", "must be an object, not array"},
		{`{"labels":{"a":1}}`, "labels", "must be a string, not number"},
		{`{"until":"tomorrow"}`, "", badTime},
		{`{"until":7}`, "", badTime},

		{nested(maxDepth), "tags", "must be a string, not array"},
		{nested(maxDepth + 1), "", deep},
		{nested(MaxBody / 4), "", deep},
		{strings.Repeat("{\"a\":", maxDepth+1) + "1" + strings.Repeat("}", maxDepth+1), "", deep},

		{"{\"name\":\"\xff\"}", "", "the body is not valid UTF-8"},
		{"{\"name\":\"\xed\xa0\x80\"}", "", "the body is not valid UTF-8"},
		{"{}\xff", "", "the body is not valid UTF-8"},
	}
	for _, tt := range tests {
		_, err := readOrder(tt.body, "application/json", false)
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Invalid || f.Field != tt.field || !strings.HasPrefix(f.Message, tt.message) {
			t.Errorf("ReadJSON(%.60q) = %v, want the field %q and %q", tt.body, err, tt.field, tt.message)
		}
	}
}

// S20: types that a page of another origin can send without asking are refused.
func TestReadJSONMediaType(t *testing.T) {
	tests := []struct {
		mediaType string
		want      error
	}{
		{"application/json", nil},
		{"Application/JSON; charset=utf-8", nil},
		{"application/merge-patch+json", nil},
		{"", ErrMediaType},
		{"text/plain", ErrMediaType},
		{"text/plain; application/json", ErrMediaType},
		{"application/x-www-form-urlencoded", ErrMediaType},
		{"multipart/form-data; boundary=a", ErrMediaType},
		{"application/json, text/plain", ErrMediaType},
		{"application/jsonp", ErrMediaType},
		{"json", ErrMediaType},
		{";", ErrMediaType},
	}
	for _, tt := range tests {
		if _, err := readOrder(`{"name":"a"}`, tt.mediaType, true); !errors.Is(err, tt.want) {
			t.Errorf("ReadJSON() with Content-Type %q = %v, want %v", tt.mediaType, err, tt.want)
		}
	}
}

func TestReadJSONOptional(t *testing.T) {
	for _, body := range []string{"", " \r\n\t"} {
		if got, err := readOrder(body, "", true); err != nil || !cmp.Equal(got, order{}) {
			t.Errorf("ReadJSON(%q), optional = %+v, %v, want nothing", body, got, err)
		}
	}
	for _, body := range []string{"null", "[]", `{"colour":1}`} {
		if _, err := readOrder(body, "application/json", true); !fault.Is(err, fault.Invalid) {
			t.Errorf("ReadJSON(%q), optional = %v, want a fault of kind invalid", body, err)
		}
	}
}

func TestReadJSONTooLarge(t *testing.T) {
	body := `{"name":"` + strings.Repeat("x", MaxBody) + `"}`
	if _, err := readOrder(body, "application/json", false); !errors.Is(err, ErrTooLarge) {
		t.Errorf("ReadJSON(%d bytes) = %v, want ErrTooLarge", len(body), err)
	}
}

// FuzzReadJSON checks that no body makes the reader panic, that its errors are
// ones that may be shown, and that what it takes means the same to
// encoding/json.
func FuzzReadJSON(f *testing.F) {
	for _, seed := range []string{
		"", "null", "{}", "[]", "{}{}", "}", "{]", `{"name":"a"}`, `{"name":"a","name":"b"}`, `{"name":"a","Name":"b"}`,
		`{"name":7}`, `{"count":1.5}`, `{"count":1e400}`, `{"colour":{"a":[{"b":null}]}}`, `{"labels":{"a":"b","a":"c"}}`,
		`{"labels":{"\ud800":"b","\udbff":"c"}}`, `{"until":"2026-01-02T03:04:05+24:00"}`, `{"tags":[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]}`,
		"{\"name\":\"\xff\"}", "\ufeff{}", "{\"a\u2028\":1}", `{"tags":["",""]`, `{"name":"a"}//`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		got, err := readOrder(body, "application/json", false)
		if err != nil {
			if !fault.Is(err, fault.Invalid) && !errors.Is(err, ErrTooLarge) {
				t.Errorf("ReadJSON(%q) = %v, want a fault of kind invalid", body, err)
			}
			return
		}
		var want order
		if err := json.Unmarshal([]byte(body), &want); err != nil {
			t.Fatalf("ReadJSON(%q) takes what encoding/json does not: %v", body, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("ReadJSON(%q), -encoding/json +got:\n%s", body, diff)
		}
		if twice := repeated(t, body); twice != "" {
			t.Errorf("ReadJSON(%q) takes %q twice", body, twice)
		}
	})
}

// repeated returns a name that the outermost object has twice, whatever the
// case, or "".
func repeated(t *testing.T, body string) string {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(body))
	if _, err := d.Token(); err != nil {
		t.Fatalf("Token(%q) = %v", body, err)
	}
	var names []string
	for d.More() {
		name, err := d.Token()
		var value json.RawMessage
		if err = errors.Join(err, d.Decode(&value)); err != nil {
			t.Fatalf("the members of %q: %v", body, err)
		}
		for _, other := range names {
			if strings.EqualFold(other, name.(string)) {
				return other
			}
		}
		names = append(names, name.(string))
	}
	return ""
}

// S13
func TestWriteJSON(t *testing.T) {
	w := httptest.NewRecorder()
	WriteJSON(w, http.StatusCreated, map[string]string{"a": "<b>"})
	if got, want := w.Body.String(), "{\"a\":\"\\u003cb\\u003e\"}\n"; w.Code != http.StatusCreated || got != want {
		t.Errorf("WriteJSON() = %d %q, want 201 %q", w.Code, got, want)
	}
	want := http.Header{"Content-Type": {"application/json"}, "Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"}}
	if diff := cmp.Diff(want, w.Result().Header); diff != "" {
		t.Errorf("header, -want +got:\n%s", diff)
	}
}

// S89: what cannot be encoded is no success.
func TestWriteJSONFails(t *testing.T) {
	w := httptest.NewRecorder()
	WriteJSON(w, http.StatusOK, func() {})
	if w.Code != http.StatusInternalServerError {
		t.Errorf("WriteJSON(func) = %d, want 500", w.Code)
	}
}
