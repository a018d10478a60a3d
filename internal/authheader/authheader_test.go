package authheader

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/secret"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// revealed compares credentials by what they hold, and shows it: none of the
// secrets here is one.
var revealed = cmp.Comparer(func(a, b secret.Text) bool { return a.Reveal() == b.Reveal() })

// S62
func TestParse(t *testing.T) {
	token := func(scheme Scheme, text string) Credential {
		return Credential{Scheme: scheme, Token: secret.New(text)}
	}
	basic := func(name, password string) Credential {
		return Credential{Scheme: Basic, Username: name, Password: secret.New(password)}
	}
	most := strings.Repeat("x", maxLength)
	tests := []struct {
		header []string
		want   Credential
		err    error
	}{
		{nil, Credential{}, nil},
		{[]string{""}, Credential{}, nil},
		{[]string{" \t"}, Credential{}, nil},
		{[]string{"Negotiate abc"}, Credential{}, nil},
		{[]string{"Digest username=\"a\", realm=\"b\""}, Credential{}, nil},
		{[]string{"abc"}, Credential{}, nil},
		{[]string{"Bearer:abc"}, Credential{}, nil},
		{[]string{"Bearerabc"}, Credential{}, nil},
		{[]string{"Bearer\u00a0abc"}, Credential{}, nil},

		{[]string{"Bearer abc"}, token(Bearer, "abc"), nil},
		{[]string{"bearer abc"}, token(Bearer, "abc"), nil},
		{[]string{"BEARER abc"}, token(Bearer, "abc"), nil},
		{[]string{"Token abc"}, token(Token, "abc"), nil},
		{[]string{"tOKEN abc"}, token(Token, "abc"), nil},
		{[]string{"Bearer   abc"}, token(Bearer, "abc"), nil},
		{[]string{"Bearer\tabc"}, token(Bearer, "abc"), nil},
		{[]string{" \tBearer \t abc \t"}, token(Bearer, "abc"), nil},
		{[]string{"Bearer a.b-c_d~e+f/g=="}, token(Bearer, "a.b-c_d~e+f/g=="), nil},
		{[]string{"Bearer !\"#$%&'()*,:;<>?@[]^`{|}"}, token(Bearer, "!\"#$%&'()*,:;<>?@[]^`{|}"), nil},
		{[]string{"Bearer " + most}, token(Bearer, most), nil},
		{[]string{"Bearer " + most + "x"}, Credential{Scheme: Bearer}, ErrBytes},

		{[]string{"Bearer"}, Credential{Scheme: Bearer}, ErrEmpty},
		{[]string{"Bearer "}, Credential{Scheme: Bearer}, ErrEmpty},
		{[]string{"Token \t"}, Credential{Scheme: Token}, ErrEmpty},
		{[]string{"Basic"}, Credential{Scheme: Basic}, ErrEmpty},
		{[]string{"Bearer a b"}, Credential{Scheme: Bearer}, ErrSpaces},
		{[]string{"Bearer a\tb"}, Credential{Scheme: Bearer}, ErrSpaces},
		{[]string{"Bearer a, Basic YTpi"}, Credential{Scheme: Bearer}, ErrSpaces},
		{[]string{"Token Bearer abc"}, Credential{Scheme: Token}, ErrSpaces},
		{[]string{"Basic YTpi YTpi"}, Credential{Scheme: Basic}, ErrSpaces},
		{[]string{"Bearer a\x00b"}, Credential{Scheme: Bearer}, ErrBytes},
		{[]string{"Bearer a\nb"}, Credential{Scheme: Bearer}, ErrBytes},
		{[]string{"Bearer a\x7f"}, Credential{Scheme: Bearer}, ErrBytes},
		{[]string{"Bearer \u00e9"}, Credential{Scheme: Bearer}, ErrBytes},
		{[]string{"Bearer a\u00a0b"}, Credential{Scheme: Bearer}, ErrBytes},
		{[]string{"Bearer \xff"}, Credential{Scheme: Bearer}, ErrBytes},
		{[]string{"Basic YTpi\r\n"}, Credential{Scheme: Basic}, ErrBytes}, // which the decoder would skip

		{[]string{"Basic " + b64("alice:pass")}, basic("alice", "pass"), nil},
		{[]string{"basic  " + b64("alice:pass")}, basic("alice", "pass"), nil},
		{[]string{"Basic " + strings.TrimRight(b64("alice:pa"), "=")}, basic("alice", "pa"), nil},
		{[]string{"Basic " + b64("alice:a:b:")}, basic("alice", "a:b:"), nil},
		{[]string{"Basic " + b64(":")}, basic("", ""), nil},
		{[]string{"Basic " + b64(":pass")}, basic("", "pass"), nil},
		{[]string{"Basic " + b64("alice:")}, basic("alice", ""), nil},
		{[]string{"Basic " + b64(" alice : pass ")}, basic(" alice ", " pass "), nil},
		{[]string{"Basic " + b64("andr\u00e9:pa\u00df\u20ac")}, basic("andr\u00e9", "pa\u00df\u20ac"), nil},
		{[]string{"Basic " + b64("andr\xe9:pa\xdf")}, basic("andr\u00e9", "pa\u00df"), nil}, // Latin-1
		{[]string{"Basic " + b64("alice")}, Credential{Scheme: Basic}, ErrEncoding},
		{[]string{"Basic alice:pass"}, Credential{Scheme: Basic}, ErrEncoding},
		{[]string{"Basic YTpi="}, Credential{Scheme: Basic}, ErrEncoding},
		{[]string{"Basic YTpi!"}, Credential{Scheme: Basic}, ErrEncoding},
		{[]string{"Basic =="}, Credential{Scheme: Basic}, ErrEncoding},
		{[]string{"Basic " + b64("alice:a\x00b")}, Credential{Scheme: Basic}, ErrBytes},
		{[]string{"Basic " + b64("ali\nce:pass")}, Credential{Scheme: Basic}, ErrBytes},
		{[]string{"Basic " + b64("alice:pass\r\n")}, Credential{Scheme: Basic}, ErrBytes},
		{[]string{"Basic " + b64("alice:\x7f")}, Credential{Scheme: Basic}, ErrBytes},
		{[]string{"Basic " + b64("\xe9\x1b:x")}, Credential{Scheme: Basic}, ErrBytes},
		{[]string{"Basic " + strings.Repeat("A", maxLength+4)}, Credential{Scheme: Basic}, ErrBytes},

		{[]string{"Bearer abc", "Bearer abc"}, Credential{}, ErrSeveral},
		{[]string{"Bearer abc", "Basic YTpi"}, Credential{}, ErrSeveral},
		{[]string{"Negotiate abc", "Bearer abc"}, Credential{}, ErrSeveral},
		{[]string{"", "Bearer abc"}, Credential{}, ErrSeveral},
		{[]string{"", ""}, Credential{}, ErrSeveral},
	}
	for _, tt := range tests {
		h := http.Header{}
		if tt.header != nil {
			h["Authorization"] = tt.header
		}
		got, err := Parse(h)
		if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
			t.Errorf("Parse(%.60q) = %v, want %v", tt.header, err, tt.err)
		}
		if diff := cmp.Diff(tt.want, got, revealed); diff != "" {
			t.Errorf("Parse(%.60q), -want +got:\n%s", tt.header, diff)
		}
	}
}

// S62: nothing but the Authorization header is a credential.
func TestParseOnlyAuthorization(t *testing.T) {
	h := http.Header{}
	for _, name := range []string{"Proxy-Authorization", "X-Authorization", "X-Forwarded-Authorization", "Cookie", "X-Api-Key"} {
		h.Set(name, "Bearer abc")
	}
	if got, err := Parse(h); err != nil || !cmp.Equal(got, Credential{}, revealed) {
		t.Errorf("Parse() = %+v, %v, want none", got, err)
	}
}

// A credential shows nothing of its secret when it is printed.
func TestCredentialPrints(t *testing.T) {
	for _, header := range []string{"Bearer planted", "Basic " + b64("alice:planted")} {
		c, err := Parse(http.Header{"Authorization": {header}})
		if err != nil {
			t.Fatalf("Parse(%q) = %v", header, err)
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			if text := fmt.Sprintf(verb, c); strings.Contains(text, "planted") {
				t.Errorf("Sprintf(%s) = %s, want the secret hidden", verb, text)
			}
		}
	}
}

// FuzzParse checks that nothing makes Parse panic, that a credential it takes
// is one text without spaces or controls, and that an error comes with none.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "Bearer", "Bearer abc", "bearer\tabc", "Token a b", "Basic YTpi", "Basic YQ", "Basic Og==", "Basic =", "Basic gDo=",
		"Basic YToA", "Negotiate x", "Bearer \x00", "Bearer \u00e9", "\u212a", "Basic AAAA====", " Basic  YTpi ",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		c, err := Parse(http.Header{"Authorization": {header}})
		token, password := c.Token.Reveal(), c.Password.Reveal()
		control := func(r rune) bool { return r < ' ' || r == 0x7f }
		switch {
		case err != nil || c.Scheme == None:
			if token != "" || password != "" || c.Username != "" {
				t.Errorf("Parse(%q) = %v with a credential of %q", header, err, c.Scheme)
			}
		case c.Scheme == Basic:
			text := c.Username + ":" + password
			if strings.Contains(c.Username, ":") || !utf8.ValidString(text) || strings.ContainsFunc(text, control) || token != "" {
				t.Errorf("Parse(%q) has the user name %q and the password %q", header, c.Username, password)
			}
			again, err := Parse(http.Header{"Authorization": {"Basic " + b64(text)}})
			if err == nil && !cmp.Equal(again, c, revealed) {
				t.Errorf("Parse(%q) = %q, %q, and encoded again %q, %q", header, c.Username, password, again.Username, again.Password.Reveal())
			}
		default:
			odd := func(r rune) bool { return r <= ' ' || r > '~' }
			if token == "" || len(token) > maxLength || strings.ContainsFunc(token, odd) || !strings.Contains(header, token) || password != "" || c.Username != "" {
				t.Errorf("Parse(%q) has the token %q", header, token)
			}
		}
	})
}

// Further schemes mean what Bearer means, and take nothing from the others (S62).
func TestParseWith(t *testing.T) {
	for header, want := range map[string]Credential{
		"JWT abc":             {Scheme: Bearer, Token: secret.New("abc")},
		"jwt abc":             {Scheme: Bearer, Token: secret.New("abc")},
		"Bearer abc":          {Scheme: Bearer, Token: secret.New("abc")},
		"Token abc":           {Scheme: Token, Token: secret.New("abc")},
		"Basic " + b64("a:b"): {Scheme: Basic, Username: "a", Password: secret.New("b")},
		"JWTx abc":            {},
		"Negotiate abc":       {},
		"":                    {},
		"JWT":                 {Scheme: Bearer},
		"JWT a b":             {Scheme: Bearer},
	} {
		got, err := ParseWith(http.Header{"Authorization": {header}}, []string{"Bearer", "JWT", "Basic", ""})
		if diff := cmp.Diff(want, got, revealed); diff != "" {
			t.Errorf("ParseWith(%q) = %v, -want +got:\n%s", header, err, diff)
		}
	}
	if got, err := ParseWith(http.Header{"Authorization": {"JWT abc"}}, nil); err != nil || got.Scheme != None {
		t.Errorf("ParseWith() without further schemes = %+v, %v, want no credential", got, err)
	}
}
