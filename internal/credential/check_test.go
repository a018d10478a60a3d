package credential

import (
	"context"
	"encoding/base64"
	"errors"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// revealed compares secrets by what they hold, and shows it: none of those
// here is one.
var revealed = cmp.Comparer(func(a, b secret.Text) bool { return a.Reveal() == b.Reveal() })

// nativeText returns a text of the native form, whose checksum is right.
func nativeText(t *testing.T, fill string) string {
	t.Helper()
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	text := "lkp_" + strings.Repeat(fill, 32)
	sum := crc32.ChecksumIEEE([]byte(text))
	check := []byte("000000")
	for i := len(check) - 1; i >= 0; i-- {
		check[i] = alphabet[sum%62]
		sum /= 62
	}
	text += string(check)
	if !tokens.LooksNative(text) {
		t.Fatalf("LooksNative(%q) = false, want true", text)
	}
	return text
}

// fakes knows tokens and one password, and keeps what it was asked.
type fakes struct {
	tokens    map[string]any // an *identity.Identity or an error; others are unknown
	asked     []string
	presented tokens.Presented
}

var (
	errRefusedUnknown = &tokens.Refusal{Reason: tokens.ReasonUnknown}
	errDown           = fault.Unavailablef(errors.New("away"), "the database does not answer")
	errNoLogin        = fault.Unauthenticatedf("the user name or the password is wrong")
)

func (f *fakes) Check(_ context.Context, p tokens.Presented) (*identity.Identity, error) {
	f.asked = append(f.asked, "token")
	f.presented = p
	switch v := f.tokens[p.Token.Reveal()].(type) {
	case *identity.Identity:
		return v, nil
	case error:
		return nil, v
	}
	return nil, errRefusedUnknown
}

func (f *fakes) Login(_ context.Context, username string, password secret.Text) (*identity.Identity, error) {
	f.asked = append(f.asked, "password")
	if username == "alice" && password.Equal(alicePassword) {
		return byPassword, nil
	}
	return nil, errNoLogin
}

// alicePassword looks like a token of the hexadecimal form.
const alicePassword = "0123456789abcdef0123456789abcdef01234567"

var (
	byToken    = &identity.Identity{Method: identity.Token, AccountID: "a1"}
	byPassword = &identity.Identity{Method: identity.Password, AccountID: "a2"}
)

func TestCheck(t *testing.T) {
	native, lost, old := nativeText(t, "a"), nativeText(t, "b"), nativeText(t, "c")
	const (
		hex     = "1111111111111111111111111111111111111111"
		oldHex  = "2222222222222222222222222222222222222222"
		downHex = "3333333333333333333333333333333333333333"
		unknown = "4444444444444444444444444444444444444444"
	)
	errRevoked := &tokens.Refusal{Reason: tokens.ReasonRevoked, TokenID: "t1", AccountID: "a1"}
	known := map[string]any{native: byToken, hex: byToken, old: errRevoked, oldHex: errRevoked, downHex: errDown, "plain": byToken}
	bearer := func(text string) Credential { return Credential{Scheme: Bearer, Token: secret.New(text)} }
	basic := func(name, text string) Credential {
		return Credential{Scheme: Basic, Username: name, Password: secret.New(text)}
	}
	tests := []struct {
		name  string
		found Credential
		want  *identity.Identity
		err   error
		asked []string
	}{
		{"nothing", Credential{}, nil, nil, nil},
		{"Bearer", bearer(native), byToken, nil, []string{"token"}},
		{"Token", Credential{Scheme: Token, Token: secret.New(hex)}, byToken, nil, []string{"token"}},
		{"Bearer, what is no token of any form", bearer("plain"), byToken, nil, []string{"token"}},
		{"Bearer, unknown", bearer(unknown), nil, errRefusedUnknown, []string{"token"}},
		{"Bearer, a password", bearer(alicePassword), nil, errRefusedUnknown, []string{"token"}},
		{"Bearer, revoked", bearer(old), nil, errRevoked, []string{"token"}},
		{"Bearer, down", bearer(downHex), nil, errDown, []string{"token"}},

		{"Basic, a token", basic("alice", native), byToken, nil, []string{"token"}},
		{"Basic, a token with another's name", basic("bob", native), byToken, nil, []string{"token"}},
		{"Basic, a token with no name", basic("", native), byToken, nil, []string{"token"}},
		{"Basic, a hexadecimal token", basic("x", hex), byToken, nil, []string{"token"}},
		{"Basic, a revoked token", basic("alice", old), nil, errRevoked, []string{"token"}},
		{"Basic, a revoked hexadecimal token", basic("alice", oldHex), nil, errRevoked, []string{"token"}},
		{"Basic, an unknown token", basic("alice", lost), nil, errRefusedUnknown, []string{"token"}},
		{"Basic, down", basic("alice", downHex), nil, errDown, []string{"token"}},
		{"Basic, a token as the user name", basic(native, "x"), nil, errNoLogin, []string{"password"}},

		{"Basic, a password that looks hexadecimal", basic("alice", alicePassword), byPassword, nil, []string{"token", "password"}},
		{"Basic, an unknown hexadecimal text", basic("alice", unknown), nil, errNoLogin, []string{"token", "password"}},
		{"Basic, in capitals it is no token", basic("alice", strings.ToUpper(alicePassword)), nil, errNoLogin, []string{"password"}},
		{"Basic, a password", basic("alice", "plain"), nil, errNoLogin, []string{"password"}},
		{"Basic, a native text cut short", basic("alice", native[:len(native)-1]), nil, errNoLogin, []string{"password"}},
		{"Basic, empty", basic("alice", ""), nil, errNoLogin, []string{"password"}},
		{"Basic, all empty", basic("", ""), nil, errNoLogin, []string{"password"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &fakes{tokens: known}
			c := &Checker{Tokens: f, Passwords: f}
			got, err := c.Check(context.Background(), tt.found)
			if got != tt.want || err != tt.err {
				t.Errorf("Check() = %+v, %v, want %+v, %v", got, err, tt.want, tt.err)
			}
			if diff := cmp.Diff(tt.asked, f.asked); diff != "" {
				t.Errorf("asked, -want +got:\n%s", diff)
			}
		})
	}
}

// The check learns from where the token came.
func TestCheckPresents(t *testing.T) {
	f := &fakes{tokens: map[string]any{"abc": byToken}}
	ctx := audit.NewContext(context.Background(), audit.Request{Addr: netip.MustParseAddr("198.51.100.7"), Agent: "tester/1"})
	if _, err := (&Checker{Tokens: f, Passwords: f}).Check(ctx, Credential{Scheme: Bearer, Token: secret.New("abc")}); err != nil {
		t.Fatalf("Check() = %v", err)
	}
	want := tokens.Presented{Token: secret.New("abc"), Addr: netip.MustParseAddr("198.51.100.7"), Agent: "tester/1"}
	if diff := cmp.Diff(want, f.presented, revealed, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("presented, -want +got:\n%s", diff)
	}
}

// S62: what cannot be read is refused, and never taken for a request without a
// credential.
func TestCheckRequest(t *testing.T) {
	tests := []struct {
		header []string
		want   *identity.Identity
		err    fault.Kind // "": none
	}{
		{nil, nil, ""},
		{[]string{"Negotiate abc"}, nil, ""},
		{[]string{"Bearer abc"}, byToken, ""},
		{[]string{"Basic " + b64("alice:"+alicePassword)}, byPassword, ""},
		{[]string{"Basic " + b64("alice:wrong")}, nil, fault.Unauthenticated},
		{[]string{"Bearer"}, nil, fault.Invalid},
		{[]string{"Basic !"}, nil, fault.Invalid},
		{[]string{"Bearer abc", "Bearer abc"}, nil, fault.Invalid},
	}
	for _, tt := range tests {
		f := &fakes{tokens: map[string]any{"abc": byToken}}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if tt.header != nil {
			r.Header["Authorization"] = tt.header
		}
		got, err := (&Checker{Tokens: f, Passwords: f}).Request(r)
		if got != tt.want || (err != nil) != (tt.err != "") || (err != nil && !fault.Is(err, tt.err)) {
			t.Errorf("Request(%q) = %+v, %v, want %+v, %q", tt.header, got, err, tt.want, tt.err)
		}
	}
}
