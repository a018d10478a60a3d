package tokens_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

const foreignKey = "planted, the SECRET_KEY of a Django project, which is long"

// claims are members of a token's payload; nil takes one out.
type claims map[string]any

// foreign is a core with an imported key, and the issuer of its tokens.
type foreign struct {
	*coretest.Core
	key  keyring.Listed
	made int
}

func newForeign(t testing.TB, change func(*keyring.Import)) *foreign {
	t.Helper()
	c := newSigning(t, nil)
	if err := c.Tokens.SignWith(c.Signing, tokens.AccessShape(coretest.Issuer), dialectShape()); err != nil {
		t.Fatalf("SignWith() = %v", err)
	}
	return importInto(t, c, change)
}

func importInto(t testing.TB, c *coretest.Core, change func(*keyring.Import)) *foreign {
	t.Helper()
	in := keyring.Import{
		Algorithm: "HS256", Key: []byte(foreignKey), Rules: keyring.Rules{Source: accounts.Local, UserIs: keyring.UserName},
	}
	if change != nil {
		change(&in)
	}
	key, err := c.Signing.Import(bg, c.Admin, in)
	if err != nil {
		t.Fatalf("Import() = %v", err)
	}
	return &foreign{Core: c, key: key}
}

// token makes a token as simplejwt does, of a kind and for somebody.
func (f *foreign) token(t testing.TB, kind, user string, changed claims) secret.Text {
	t.Helper()
	f.made++
	now := f.Clock.Now()
	all := map[string]any{
		"token_type": kind, "exp": now.Add(5 * time.Minute).Unix(), "iat": now.Unix(), "jti": fmt.Sprintf("%032x", f.made), "user_id": user,
	}
	switch kind {
	case "refresh":
		all["exp"] = now.Add(longest).Unix()
	case "sliding":
		all["refresh_exp"] = now.Add(longest).Unix()
	}
	maps.Copy(all, changed)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	payload, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return secret.New(hs256(`{"alg":"HS256","typ":"JWT"}`, string(payload), foreignKey))
}

func hs256(header, payload, key string) string {
	b64 := base64.RawURLEncoding
	text := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(payload))
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(text))
	return text + "." + b64.EncodeToString(mac.Sum(nil))
}

// rotating and staying are what simplejwt's dialect begins families by.
var (
	rotating = &tokens.Begin{Life: 30 * longest, Terms: tokens.Terms{Shape: "dialect", ClientID: "theirs", Access: 5 * time.Minute, Refresh: longest, SignedRefresh: true, Leeway: 10 * time.Second, Replays: 20}}
	staying  = &tokens.Begin{Life: longest, Terms: tokens.Terms{Shape: "dialect", ClientID: "theirs", Access: 5 * time.Minute, SignedRefresh: true, KeepRefresh: true}}
	sliding  = &tokens.Begin{Life: longest, Terms: tokens.Terms{Shape: "dialect", ClientID: "theirs", Access: 5 * time.Minute, Refresh: longest, Sliding: true}}
)

func (f *foreign) refresh(text secret.Text, begin *tokens.Begin) (tokens.Pair, error) {
	return f.Tokens.RefreshPair(bg, tokens.RefreshRequest{
		Presented: tokens.Presented{Token: text, Addr: somewhere}, ClientID: "theirs", Shape: "dialect", Begin: begin,
	})
}

// A token of another issuer opens doors as whom it names, and says so.
func TestForeignToken(t *testing.T) {
	f := newForeign(t, nil)
	ann := f.User(t, "ann", "path:/a/*:read")
	id := mustPass(t, f.Tokens, f.token(t, "access", "ann", nil))
	if id.AccountID != ann.AccountID || id.Class != "access" || !strings.HasPrefix(id.TokenID, store.ImportedPrefix) || id.EffectiveText != ann.EffectiveText {
		t.Errorf("Check() = %+v, want what ann may", id)
	}
	if !id.ExpiresAt.After(f.Clock.Now()) || id.ExpiresAt.After(f.Clock.Now().Add(6*time.Minute)) {
		t.Errorf("the token ends at %s, want five minutes on", id.ExpiresAt)
	}
	mustPass(t, f.Tokens, f.token(t, "sliding", "ann", nil))
	mustRefuse(t, f.Tokens, f.token(t, "refresh", "ann", nil), tokens.ReasonKind) // S52
	mustRefuse(t, f.Tokens, f.token(t, "access", "bob", nil), tokens.ReasonUnknown)

	text := f.token(t, "access", "ann", nil)
	mustPass(t, f.Tokens, text)
	looked := func() int { return f.Store.Calls("Token", "TokenByDigest", "Holder", "AccountsByName", "SigningKeys") }
	calls := looked()
	mustPass(t, f.Tokens, text)
	if got := looked(); got != calls {
		t.Errorf("the second check asks the store %d times, want none", got-calls)
	}
	f.Clock.Advance(6 * time.Minute)
	mustRefuse(t, f.Tokens, text, tokens.ReasonExpired)
}

// S52, S53, S54: what such a token must be like.
func TestForeignClaims(t *testing.T) {
	f := newForeign(t, nil)
	f.User(t, "ann")
	f.User(t, "7")
	now := f.Clock.Now().Unix()
	mustPass(t, f.Tokens, f.token(t, "access", "", claims{"user_id": 7})) // as before simplejwt 5.5.1
	for name, tt := range map[string]struct {
		changed claims
		want    tokens.Reason
	}{
		"no end":               {claims{"exp": nil}, tokens.ReasonMalformed},
		"no begin":             {claims{"iat": nil}, tokens.ReasonMalformed},
		"no id":                {claims{"jti": nil}, tokens.ReasonMalformed},
		"an empty id":          {claims{"jti": ""}, tokens.ReasonMalformed},
		"a number as id":       {claims{"jti": 5}, tokens.ReasonMalformed},
		"an id without end":    {claims{"jti": strings.Repeat("j", 256)}, tokens.ReasonMalformed},
		"no type":              {claims{"token_type": nil}, tokens.ReasonMalformed},
		"another type":         {claims{"token_type": "id"}, tokens.ReasonMalformed},
		"nobody":               {claims{"user_id": nil}, tokens.ReasonMalformed},
		"an empty user":        {claims{"user_id": ""}, tokens.ReasonMalformed},
		"true":                 {claims{"user_id": true}, tokens.ReasonMalformed},
		"a list of users":      {claims{"user_id": []string{"ann"}}, tokens.ReasonMalformed},
		"a fraction":           {claims{"user_id": 7.5}, tokens.ReasonMalformed},
		"a negative user":      {claims{"user_id": -7}, tokens.ReasonMalformed},
		"another spelling":     {claims{"user_id": "ANN"}, tokens.ReasonUnknown},
		"control characters":   {claims{"user_id": "ann\n"}, tokens.ReasonUnknown},
		"for somebody":         {claims{"aud": "somebody"}, tokens.ReasonMalformed},
		"from somebody":        {claims{"iss": "somebody"}, tokens.ReasonMalformed},
		"expired":              {claims{"exp": now - 60}, tokens.ReasonExpired},
		"from the future":      {claims{"iat": now + 60}, tokens.ReasonMalformed},
		"not yet":              {claims{"nbf": now + 60}, tokens.ReasonMalformed},
		"a date with fraction": {claims{"exp": float64(now) + 0.5}, tokens.ReasonMalformed},
		"an absurd date":       {claims{"exp": uint64(1) << 60}, tokens.ReasonMalformed},
		"a text as date":       {claims{"exp": "tomorrow"}, tokens.ReasonMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			mustRefuse(t, f.Tokens, f.token(t, "access", "ann", tt.changed), tt.want)
		})
	}
	mustRefuse(t, f.Tokens, f.token(t, "sliding", "ann", claims{"refresh_exp": nil}), tokens.ReasonMalformed)
}

// S50, S51, S56: by the key's algorithm alone, and no header helps.
func TestForeignAttacks(t *testing.T) {
	f := newForeign(t, nil)
	f.User(t, "ann")
	good := f.token(t, "access", "ann", nil).Reveal()
	mustPass(t, f.Tokens, secret.New(good))
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(good, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var own string
	keys, err := f.Signing.List(bg, f.Admin)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if k.State == keyring.Active {
			own = k.Key.PublicPEM()
		}
	}
	parts := strings.Split(good, ".")
	for name, text := range map[string]string{
		"another key":                   hs256(`{"alg":"HS256","typ":"JWT"}`, string(payload), "another key, as long as the one that was imported"),
		"our public key as its secret":  hs256(`{"alg":"HS256","typ":"JWT"}`, string(payload), own),
		"an empty key":                  hs256(`{"alg":"HS256","typ":"JWT"}`, string(payload), ""),
		"another algorithm":             hs256(`{"alg":"HS512","typ":"JWT"}`, string(payload), foreignKey),
		"none":                          base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + parts[1] + ".",
		"without its signature":         parts[0] + "." + parts[1] + ".",
		"a kid":                         hs256(fmt.Sprintf(`{"alg":"HS256","typ":"JWT","kid":%q}`, f.key.Record.ID), string(payload), foreignKey),
		"an empty kid":                  hs256(`{"alg":"HS256","typ":"JWT","kid":""}`, string(payload), foreignKey),
		"another type":                  hs256(`{"alg":"HS256","typ":"at+jwt"}`, string(payload), foreignKey),
		"a member twice":                hs256(`{"alg":"HS256","typ":"JWT"}`, strings.Replace(string(payload), "{", `{"user_id":"admin",`, 1), foreignKey),
		"something behind":              hs256(`{"alg":"HS256","typ":"JWT"}`, string(payload)+"{}", foreignKey),
		"critical":                      hs256(`{"alg":"HS256","typ":"JWT","crit":["exp"]}`, string(payload), foreignKey),
		"padding":                       good + "=",
		"another last character":        good[:len(good)-1] + "_",
		"with claims of our own tokens": hs256(`{"alg":"HS256","typ":"at+jwt"}`, strings.Replace(string(payload), "{", `{"iss":"https://latchkey.example","aud":"https://latchkey.example","client_id":"c","sid":"s",`, 1), foreignKey),
	} {
		if id, err := present(f.Tokens, secret.New(text)); reason(err) != tokens.ReasonMalformed && reason(err) != tokens.ReasonUnknown {
			t.Errorf("%s: Check() = %+v, %v, want it refused", name, id, err)
		}
	}
}

// S56: tokens that nobody knows do not make the keys be loaded again.
func TestForeignFlood(t *testing.T) {
	f := newForeign(t, nil)
	f.User(t, "ann")
	mustPass(t, f.Tokens, f.token(t, "access", "ann", nil))
	calls := f.Store.Calls("SigningKeys")
	for i := range 200 {
		text := hs256(`{"alg":"HS256","typ":"JWT"}`, fmt.Sprintf(`{"jti":"%d"}`, i), "another key, as long as the one that was imported")
		mustRefuse(t, f.Tokens, secret.New(text), tokens.ReasonUnknown)
	}
	if got := f.Store.Calls("SigningKeys") - calls; got != 0 {
		t.Errorf("200 tokens of an unknown key load the keys %d times, want never", got)
	}
}

// What ends tokens of ours ends those of another issuer, at once and on other
// nodes too (S27, S47).
func TestForeignIsEnded(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(f *foreign, who *identity.Identity, text secret.Text) error
		want tokens.Reason
	}{
		{"by itself", func(f *foreign, _ *identity.Identity, text secret.Text) error {
			return f.Tokens.RevokeSecret(bg, text.Reveal())
		}, tokens.ReasonRevoked},
		{"with all of the account", func(f *foreign, who *identity.Identity, _ secret.Text) error {
			_, err := f.Tokens.RevokeAll(bg, f.Admin, who.AccountID, "")
			return err
		}, tokens.ReasonRevoked},
		{"with a new password", func(f *foreign, who *identity.Identity, _ secret.Text) error {
			return f.Accounts.SetPassword(bg, f.Admin, who.AccountID, secret.New("another correct horse"), false)
		}, tokens.ReasonRevoked},
		{"with the account disabled", func(f *foreign, who *identity.Identity, _ secret.Text) error {
			_, err := f.Accounts.Update(bg, f.Admin, who.AccountID, accounts.Change{Disabled: of(true)})
			return err
		}, tokens.ReasonDisabled},
		{"with the account deleted", func(f *foreign, who *identity.Identity, _ secret.Text) error {
			return f.Accounts.Delete(bg, f.Admin, who.AccountID)
		}, tokens.ReasonUnknown},
		{"with its key", func(f *foreign, _ *identity.Identity, _ secret.Text) error {
			_, err := f.Signing.Revoke(bg, f.Admin, f.key.Record.ID, "leaked")
			return err
		}, tokens.ReasonUnknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newForeign(t, nil)
			other, ring := f.SigningNode(t, func(o *tokens.Options) { o.PollEvery = time.Millisecond }, keyring.Policy{Longest: longest})
			other.TakeImported(f.Accounts)
			if err := other.SignWith(ring, tokens.AccessShape(coretest.Issuer), dialectShape()); err != nil {
				t.Fatal(err)
			}
			if err := ring.Start(bg); err != nil {
				t.Fatal(err)
			}
			f.Ready(t, other)
			ann := f.User(t, "ann")
			text := f.token(t, "access", "ann", nil)
			f.Clock.Advance(2 * time.Second) // "iat" is in whole seconds
			mustPass(t, f.Tokens, text)
			mustPass(t, other, text)
			if err := tt.end(f, ann, text); err != nil {
				t.Fatalf("ending it = %v", err)
			}
			mustRefuse(t, f.Tokens, text, tt.want)
			eventually(t, "the other node refuses it", func() bool {
				_, err := present(other, text)
				return reason(err) == tt.want
			})
			if _, err := f.Tokens.Inspect(bg, text.Reveal()); reason(err) != tt.want {
				t.Errorf("Inspect() = %v, want the refusal %q", err, tt.want)
			}
		})
	}
}

// S29: whoever comes under the name of somebody who was deleted does not get
// their tokens, and a token that was revoked stays so.
func TestForeignNameAgain(t *testing.T) {
	f := newForeign(t, nil)
	ann := f.User(t, "ann")
	text := f.token(t, "access", "ann", nil)
	f.Clock.Advance(2 * time.Second)
	mustPass(t, f.Tokens, text)
	if err := f.Accounts.Delete(bg, f.Admin, ann.AccountID); err != nil {
		t.Fatal(err)
	}
	f.User(t, "ann")
	f.Clock.Advance(2 * time.Second)
	if id, err := present(f.Tokens, text); err == nil {
		t.Errorf("Check() after the name was made again = %+v, want it refused", id)
	}
	mustPass(t, f.Tokens, f.token(t, "access", "ann", nil))
}

// What says that a token was revoked is kept until the token itself ends, and
// longer than all else that was revoked.
func TestForeignStaysRevoked(t *testing.T) {
	f := newForeign(t, func(in *keyring.Import) { in.Until = time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC) })
	f.User(t, "ann")
	text := f.token(t, "access", "ann", claims{"exp": f.Clock.Now().Add(200 * longest).Unix()})
	mustPass(t, f.Tokens, text)
	if err := f.Tokens.RevokeSecret(bg, text.Reveal()); err != nil {
		t.Fatal(err)
	}
	f.Clock.Advance(150 * longest)
	if n, err := f.Store.Sweep(bg, f.Clock.Now().Add(-longest), 100); n != 0 || err != nil {
		t.Errorf("Sweep() = %d, %v, want nothing to go", n, err)
	}
	mustRefuse(t, f.Tokens, text, tokens.ReasonRevoked)
	list, err := f.Store.Tokens(bg, store.TokenQuery{Limit: 10, Class: "access"})
	if err != nil || len(list) != 1 {
		t.Fatalf("Tokens() = %v, %v, want the revoked one", list, err)
	}
	if _, err := f.Tokens.Update(bg, f.Admin, list[0].ID, tokens.Update{ExpiresIn: of(time.Second)}); err == nil {
		t.Error("Update() brings the end of its record forward, want an error")
	}
}

// The rules of the key limit what its tokens open, and for how long.
func TestForeignRules(t *testing.T) {
	f := newForeign(t, func(in *keyring.Import) {
		in.Scope, in.Longest = []string{"path:/a/*:read"}, time.Minute
		in.Issuer, in.Audience, in.UserClaim, in.TypeClaim, in.IDClaim = "django", "services", "uid", "kind", "id"
	})
	f.User(t, "ann", "path:/*:read,write")
	renamed := claims{
		"iss": "django", "aud": []string{"others", "services"}, "uid": "ann", "kind": "access", "id": "j", "user_id": nil, "token_type": nil, "jti": nil,
	}
	text := f.token(t, "", "", renamed)
	id := mustPass(t, f.Tokens, text)
	if got := id.EffectiveText; got != "path:/a/*:read" {
		t.Errorf("the token opens %q, want what the key allows", got)
	}
	for name, value := range map[string]any{"iss": "others", "aud": "others"} {
		wrong := maps.Clone(renamed)
		wrong[name] = value
		mustRefuse(t, f.Tokens, f.token(t, "", "", wrong), tokens.ReasonMalformed)
	}
	f.Clock.Advance(time.Minute)
	mustRefuse(t, f.Tokens, text, tokens.ReasonExpired)
}

// After its end a key counts no more, whatever its tokens say.
func TestForeignKeyEnds(t *testing.T) {
	f := newForeign(t, nil)
	f.User(t, "ann")
	text := f.token(t, "access", "ann", claims{"exp": f.Clock.Now().Add(100 * longest).Unix()})
	id := mustPass(t, f.Tokens, text)
	if want := f.key.Record.RetireAt; !id.ExpiresAt.Equal(want) {
		t.Errorf("the token ends at %s, want with its key at %s", id.ExpiresAt, want)
	}
	f.Clock.Advance(keyring.ImportFor)
	if id, err := present(f.Tokens, text); err == nil {
		t.Errorf("Check() after the end of the key = %+v, want it refused", id)
	}
	if id, err := present(f.Tokens, f.token(t, "access", "ann", nil)); err == nil {
		t.Errorf("Check() of a token of a key that has ended = %+v, want it refused", id)
	}
}

// A refresh token of another issuer goes on to be used as the dialect's are: it
// stays as it is, or gives its place to one of ours (S21, S22, S23).
func TestForeignRefresh(t *testing.T) {
	t.Run("stays", func(t *testing.T) {
		f := newForeign(t, nil)
		f.User(t, "ann")
		text := f.token(t, "refresh", "ann", nil)
		for range 3 {
			p, err := f.refresh(text, staying)
			if err != nil || !p.Refresh.Empty() {
				t.Fatalf("RefreshPair() = %+v, %v, want an access token alone", p, err)
			}
			mustPass(t, f.Tokens, p.Access)
			f.Clock.Advance(time.Minute)
		}
		if got := len(f.Events(t, "pair.import")); got != 1 {
			t.Errorf("there are %d events pair.import, want one", got)
		}
		if _, err := f.Tokens.Inspect(bg, text.Reveal()); err != nil {
			t.Errorf("Inspect() = %v, want that it counts", err)
		}
		f.Clock.Advance(longest)
		if _, err := f.refresh(text, staying); reason(err) != tokens.ReasonExpired {
			t.Errorf("RefreshPair() after its end = %v, want %q", err, tokens.ReasonExpired)
		}
	})
	t.Run("rotates", func(t *testing.T) {
		f := newForeign(t, nil)
		f.User(t, "ann")
		text := f.token(t, "refresh", "ann", nil)
		first, err := f.refresh(text, rotating)
		if err != nil {
			t.Fatalf("RefreshPair() = %v", err)
		}
		mustPass(t, f.Tokens, first.Access)
		next, err := f.refresh(first.Refresh, rotating)
		if err != nil {
			t.Fatalf("RefreshPair() of the successor = %v", err)
		}
		mustPass(t, f.Tokens, next.Access)
		f.Clock.Advance(time.Minute)
		if _, err := f.refresh(text, rotating); reason(err) != tokens.ReasonReused {
			t.Errorf("RefreshPair() of the used one = %v, want %q", err, tokens.ReasonReused)
		}
		mustRefuse(t, f.Tokens, next.Access, tokens.ReasonRevoked)
		if _, err := f.refresh(text, rotating); reason(err) != tokens.ReasonRevoked {
			t.Errorf("RefreshPair() of the used one once more = %v, want %q", err, tokens.ReasonRevoked)
		}
	})
	t.Run("slides", func(t *testing.T) {
		f := newForeign(t, nil)
		f.User(t, "ann")
		text := f.token(t, "sliding", "ann", nil)
		p, err := f.refresh(text, sliding)
		if err != nil {
			t.Fatalf("RefreshPair() = %v", err)
		}
		f.Clock.Advance(4 * time.Minute)
		if p, err = f.refresh(p.Access, sliding); err != nil {
			t.Fatalf("RefreshPair() of its successor = %v", err)
		}
		f.Clock.Advance(4 * time.Minute)
		mustPass(t, f.Tokens, p.Access)
		if err := f.Tokens.RevokeSecret(bg, p.Access.Reveal()); err != nil {
			t.Fatal(err)
		}
		mustRefuse(t, f.Tokens, p.Access, tokens.ReasonRevoked)
	})
	t.Run("is of another kind", func(t *testing.T) {
		f := newForeign(t, nil)
		f.User(t, "ann")
		for _, tt := range []struct {
			kind  string
			begin *tokens.Begin
		}{{"refresh", nil}, {"refresh", sliding}, {"sliding", staying}, {"sliding", rotating}, {"access", staying}, {"access", rotating}} {
			if _, err := f.refresh(f.token(t, tt.kind, "ann", nil), tt.begin); reason(err) != tokens.ReasonKind {
				t.Errorf("RefreshPair(%s) = %v, want %q", tt.kind, err, tokens.ReasonKind)
			}
		}
	})
	t.Run("was ended", func(t *testing.T) {
		f := newForeign(t, nil)
		ann := f.User(t, "ann")
		revoked, late := f.token(t, "refresh", "ann", nil), f.token(t, "refresh", "ann", nil)
		if err := f.Tokens.RevokeSecret(bg, revoked.Reveal()); err != nil {
			t.Fatal(err)
		}
		if _, err := f.refresh(revoked, rotating); reason(err) != tokens.ReasonRevoked {
			t.Errorf("RefreshPair() of a revoked one = %v, want %q", err, tokens.ReasonRevoked)
		}
		f.Clock.Advance(2 * time.Second)
		if _, err := f.Tokens.RevokeAll(bg, f.Admin, ann.AccountID, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := f.refresh(late, rotating); reason(err) != tokens.ReasonRevoked {
			t.Errorf("RefreshPair() after all were ended = %v, want %q", err, tokens.ReasonRevoked)
		}
	})
}

// S21: of many that use a refresh token of another issuer at once, all get the
// same successor.
func TestForeignRefreshAtOnce(t *testing.T) {
	f := newForeign(t, nil)
	f.User(t, "ann")
	text := f.token(t, "refresh", "ann", nil)
	var mu sync.Mutex
	var running sync.WaitGroup
	got := map[string]int{}
	for range 20 {
		running.Go(func() {
			p, err := f.refresh(text, rotating)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("RefreshPair() = %v", err)
			}
			got[p.Refresh.Reveal()]++
		})
	}
	running.Wait()
	if len(got) != 1 {
		t.Errorf("20 at once got %d successors, want one", len(got))
	}
}

// S78: a token of another issuer asks for others within its own limits, as long
// as it counts, and is shown to who uses it.
func TestForeignAsks(t *testing.T) {
	f := newForeign(t, nil)
	f.User(t, "ann", "latchkey:tokens:read,write,delete")
	text := f.token(t, "access", "ann", nil)
	id := mustPass(t, f.Tokens, text)
	own, err := f.Tokens.Own(bg, id)
	if err != nil || own.ID != id.TokenID || own.Class != "access" || own.CreatedAt.IsZero() || !own.ExpiresAt.Equal(id.ExpiresAt) {
		t.Errorf("Own() = %+v, %v, want what is known of it", own, err)
	}
	if _, err := f.Tokens.Issue(bg, id, tokens.Request{Name: "longer", ExpiresIn: of(hour)}); !fault.Is(err, fault.Forbidden) {
		t.Errorf("Issue() of a longer one = %v, want it forbidden", err)
	}
	if _, err := f.Tokens.Issue(bg, id, tokens.Request{Name: "as long", ExpiresIn: of(time.Minute)}); err != nil {
		t.Errorf("Issue() = %v, want a token", err)
	}
	if err := f.Tokens.RevokeSecret(bg, text.Reveal()); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Tokens.Issue(bg, id, tokens.Request{Name: "too late", ExpiresIn: of(time.Minute)}); err == nil {
		t.Error("Issue() on the strength of a revoked token = nil error, want it refused")
	}
}

// S82: explaining tells what it knows to those who may know.
func TestForeignIsExplained(t *testing.T) {
	f := newForeign(t, nil)
	f.User(t, "ann")
	got, err := f.Tokens.Explain(bg, f.Admin, tokens.Subject{Secret: f.token(t, "access", "ann", nil).Reveal()})
	if err != nil || got.Err != nil || got.Account.Name != "ann" || !strings.Contains(got.Steps[0].Text, f.key.Record.ID) {
		t.Errorf("Explain() = %+v, %v, want the key and whose it is", got, err)
	}
	got, err = f.Tokens.Explain(bg, f.Admin, tokens.Subject{Secret: f.token(t, "access", "nobody", nil).Reveal()})
	if err != nil || got.Err == nil || !strings.Contains(got.Steps[len(got.Steps)-1].Text, "nobody is known") {
		t.Errorf("Explain() of a token of nobody = %+v, %v, want that it says so", got, err)
	}
}

// Nothing that fails opens a door (S89, S114).
func TestForeignFails(t *testing.T) {
	for _, method := range []string{"AccountsByName", "Token", "Holder"} {
		f := newForeign(t, nil)
		f.User(t, "ann")
		text := f.token(t, "access", "ann", nil)
		f.Store.Fail(store.ErrUnavailable, method)
		if id, err := present(f.Tokens, text); !fault.Is(err, fault.Unavailable) {
			t.Errorf("Check() while %s fails = %+v, %v, want that it is unavailable", method, id, err)
		}
		f.Store.Heal()
		mustPass(t, f.Tokens, text)
	}
}
