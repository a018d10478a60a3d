package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/secret"
)

func TestTextIsNeverShown(t *testing.T) {
	const planted = "planted-not-a-real-secret"
	s := secret.New(planted)
	holder := struct {
		Name string
		Key  secret.Text
		Ptr  *secret.Text
	}{"n", s, &s}

	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T"} {
		fmt.Fprintf(&out, verb+verb+"\n", s, holder)
	}
	encoded, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(encoded)
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "s", s, "h", holder)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "s", s, "h", holder)

	if strings.Contains(out.String(), planted) || strings.Contains(out.String(), fmt.Sprintf("%x", planted)) {
		t.Errorf("the secret was shown in:\n%s", out.String())
	}
	if !strings.Contains(out.String(), "[hidden]") {
		t.Errorf("no placeholder in:\n%s", out.String())
	}
	if got := s.Reveal(); got != planted {
		t.Errorf("Reveal() = %q, want %q", got, planted)
	}
}

// S71: an empty secret never matches.
func TestEqual(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{{"a", "a", true}, {"a", "b", false}, {"a", "", false}, {"", "", false}, {"", "a", false}} {
		if got := secret.New(c.a).Equal(c.b); got != c.want {
			t.Errorf("New(%q).Equal(%q) = %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

func TestTextDecodes(t *testing.T) {
	var v struct{ Key secret.Text }
	if err := json.Unmarshal([]byte(`{"Key":"abc"}`), &v); err != nil {
		t.Fatal(err)
	}
	if got := v.Key.Reveal(); got != "abc" {
		t.Errorf("decoded %q, want %q", got, "abc")
	}
}
