package simplejwt_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/dialect/simplejwt"
	"github.com/latchkey-auth/latchkey/internal/jose"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/throttle"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// project is the real core with this dialect, signing with a key that the test
// has too.
type project struct {
	*coretest.Core
	handler http.Handler
	private *ecdsa.PrivateKey
	key     *jose.Key
	kept    map[string]string // tokens by the names that the script has for them
	ids     map[string]string // accounts' ids, with what answers have for them
}

func newProject(t *testing.T, opts simplejwt.Options) *project {
	t.Helper()
	rate := throttle.Rate{Burst: 100_000, Every: time.Millisecond}
	p := &project{
		Core: coretest.New(t, coretest.Options{Logins: throttle.Options{Pair: rate, Address: rate, Account: rate, Narrow: rate}}),
		kept: map[string]string{}, ids: map[string]string{},
	}
	var err error
	if p.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if p.key, err = jose.NewPrivateKey(jose.ES256, p.private); err != nil {
		t.Fatal(err)
	}
	p.handler = simplejwt.New(opts, p.Accounts, p.Tokens, p.Log)
	if err := p.Tokens.SignWith(p, tokens.AccessShape(coretest.Issuer), opts.Shape()); err != nil {
		t.Fatal(err)
	}
	return p
}

// Sign, Verify, VerifyImported and Generation make the project the signer of its core.
func (p *project) Sign(_ context.Context, f keyring.Form, claims any, _ time.Time) (string, error) {
	return p.key.Sign(jose.Header{Type: f.Type}, claims)
}

func (p *project) Verify(_ context.Context, token string, profile jose.Profile) (*jose.Token, error) {
	find := func(id string) *jose.Key {
		if id == p.key.ID() {
			return p.key
		}
		return nil
	}
	return profile.Verify(token, find, p.Clock.Now())
}

func (p *project) VerifyImported(context.Context, string) (*keyring.Foreign, error) {
	return nil, jose.ErrUnknownKey
}

func (p *project) Generation() uint64 { return 1 }

func (p *project) addUser(t *testing.T, name, password string) {
	t.Helper()
	id := p.Account(t, accounts.NewAccount{Name: name, Password: secret.New(password)}).AccountID
	p.ids[id] = fmt.Sprintf("(the id of %s)", name)
}

// act does what a step of the script asks for beside the requests.
func (p *project) act(t *testing.T, s step) {
	t.Helper()
	if s.Do == "forge" {
		p.kept[s.Keep[""]] = p.forged(t, s)
		return
	}
	id := p.AccountNamed(t, s.User).ID
	var err error
	switch s.Do {
	case "deactivate", "activate":
		disabled := s.Do == "deactivate"
		_, err = p.Accounts.Update(t.Context(), p.Admin, id, accounts.Change{Disabled: &disabled})
	case "password":
		err = p.Accounts.SetPassword(t.Context(), p.Admin, id, secret.New(s.Password), false)
	case "delete":
		err = p.Accounts.Delete(t.Context(), p.Admin, id)
	default:
		t.Fatalf("the script asks for %q", s.Do)
	}
	if err != nil {
		t.Fatalf("%s %s: %v", s.Do, s.User, err)
	}
}

// parts returns the header and the claims of a token.
func parts(t *testing.T, token string) (header, claims map[string]any, signature []byte) {
	t.Helper()
	texts := strings.Split(token, ".")
	if len(texts) != 3 {
		t.Fatalf("%q is no signed token", token)
	}
	for i, into := range []*map[string]any{&header, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(texts[i])
		if err == nil {
			err = json.Unmarshal(text, into)
		}
		if err != nil {
			t.Fatalf("%q cannot be read: %v", token, err)
		}
	}
	signature, err := base64.RawURLEncoding.DecodeString(texts[2])
	if err != nil {
		t.Fatalf("%q cannot be read: %v", token, err)
	}
	return header, claims, signature
}

func b64(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

func encoded(v map[string]any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // it came from JSON
	}
	return b64(text)
}

// forged makes another token of one that was issued, as testdata/record.py does.
func (p *project) forged(t *testing.T, s step) string {
	t.Helper()
	header, claims, signature := parts(t, p.kept[s.Of])
	for name, value := range claims {
		if f, ok := value.(float64); ok {
			claims[name] = int64(f)
		}
	}
	for name, value := range s.Set {
		if m, ok := value.(map[string]any); ok {
			value = p.Clock.Now().Unix() + int64(m["now"].(float64))
		}
		claims[name] = value
	}
	for _, name := range s.Drop {
		delete(claims, name)
	}
	maps.Copy(header, s.Header)
	switch s.Sign {
	case "own":
		return p.es256(t, p.private, encoded(header)+"."+encoded(claims))
	case "other":
		other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return p.es256(t, other, encoded(header)+"."+encoded(claims))
	case "kept":
		return encoded(header) + "." + encoded(claims) + "." + b64(signature)
	case "flipped":
		signature[0] ^= 1
		return encoded(header) + "." + encoded(claims) + "." + b64(signature)
	case "none", "None":
		header["alg"] = s.Sign
		return encoded(header) + "." + encoded(claims) + "."
	case "public":
		header["alg"] = "HS256"
		text := encoded(header) + "." + encoded(claims)
		mac := hmac.New(sha256.New, []byte(p.key.PublicPEM()))
		mac.Write([]byte(text))
		return text + "." + b64(mac.Sum(nil))
	}
	t.Fatalf("the script asks for a signature by %q", s.Sign)
	return ""
}

func (p *project) es256(t *testing.T, key *ecdsa.PrivateKey, text string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + b64(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

var hex32 = regexp.MustCompile(`^[0-9a-f]{32}$`)

// ours is what tokens of ours say beside the original's.
var ours = []string{"sub", "sid"}

// describe tells what a token is like, as testdata/record.py does. What ours
// have beside is looked at and left out.
func (p *project) describe(t *testing.T, token string) described {
	t.Helper()
	header, claims, _ := parts(t, token)
	if header["kid"] != p.key.ID() {
		t.Errorf("the header %v names another key than %q", header, p.key.ID())
	}
	delete(header, "kid")
	for _, name := range ours {
		if text, ok := claims[name].(string); !ok || text == "" {
			t.Errorf("the claims %v have no %s", claims, name)
		}
		delete(claims, name)
	}
	issued, _ := claims["iat"].(float64)
	for name, value := range claims {
		switch v := value.(type) {
		case float64:
			claims[name] = fmt.Sprintf("iat + %d", 10*int64(math.Round((v-issued)/10)))
			if name == "iat" && v == float64(p.Clock.Now().Unix()) {
				claims[name] = "now"
			}
		case string:
			if hex32.MatchString(v) {
				claims[name] = "(32 hexadecimal digits)"
			} else if said, ok := p.ids[v]; ok {
				claims[name] = said
			}
		}
	}
	return described{header, claims}
}
