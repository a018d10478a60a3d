package keyring_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/coretest"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/jose"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/serverkey"
	"github.com/latchkey-auth/latchkey/internal/store"
)

const theirSecret = "planted, the SECRET_KEY of a Django project, which is long"

func shared(text string) keyring.Import {
	return keyring.Import{Algorithm: "HS256", Key: []byte(text), Rules: keyring.Rules{Source: "local", UserIs: keyring.UserName}}
}

func mustImport(t testing.TB, c *coretest.Core, in keyring.Import) keyring.Listed {
	t.Helper()
	k, err := c.Signing.Import(bg, c.Admin, in)
	if err != nil {
		t.Fatalf("Import() = %v", err)
	}
	return k
}

// theirs is what simplejwt signs: a token whose header names no key.
func theirs(c *coretest.Core, alg string, sign func(message []byte) []byte) string {
	now := c.Clock.Now().Unix()
	b64 := base64.RawURLEncoding
	text := b64.EncodeToString(fmt.Appendf(nil, `{"alg":%q,"typ":"JWT"}`, alg)) + "." +
		b64.EncodeToString(fmt.Appendf(nil, `{"token_type":"access","exp":%d,"iat":%d,"jti":"j","user_id":"1"}`, now+300, now))
	return text + "." + b64.EncodeToString(sign([]byte(text)))
}

func byHMAC(key string) func([]byte) []byte {
	return func(message []byte) []byte {
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write(message)
		return mac.Sum(nil)
	}
}

// A key is imported, listed with its end, and verifies; it neither signs nor is
// it published (S49).
func TestImport(t *testing.T) {
	c := started(t, coretest.Options{})
	before := published(t, c.Signing)
	k := mustImport(t, c, shared(theirSecret))
	if k.State != keyring.Imported || k.Rules == nil || k.Rules.UserClaim != "user_id" || !k.Ends.Equal(c.Clock.Now().Add(keyring.ImportFor)) || !strings.HasPrefix(k.Record.ID, "hs_") {
		t.Errorf("Import() = %+v, want a key of another issuer that ends in 30 days", k)
	}
	token := theirs(c, "HS256", byHMAC(theirSecret))
	got, err := c.Signing.VerifyImported(bg, token)
	if err != nil || got.KeyID != k.Record.ID || got.Token.Claims.Text("user_id") != "1" {
		t.Errorf("VerifyImported() = %+v, %v, want the claims", got, err)
	}
	if _, err := c.Signing.Verify(bg, token, jose.Profile{Type: "JWT"}); !errors.Is(err, jose.ErrUnknownKey) {
		t.Errorf("Verify() of a token of another issuer = %v, want %v", err, jose.ErrUnknownKey)
	}
	own := sign(t, c, c.Signing)
	if _, err := c.Signing.VerifyImported(bg, own); !errors.Is(err, jose.ErrUnknownKey) {
		t.Errorf("VerifyImported() of our own token = %v, want %v", err, jose.ErrUnknownKey)
	}
	if after := published(t, c.Signing); len(after) != len(before) {
		t.Errorf("published are %d keys after the import, want the %d from before", len(after), len(before))
	}
	if got := states(t, c); len(got[keyring.Imported]) != 1 || len(got[keyring.Active]) != 1 || len(got[keyring.Published]) != 1 {
		t.Errorf("the keys are %v, want one more, which is imported", got)
	}
	if events := c.Events(t, "key.import"); len(events) != 1 || events[0].Target != k.Record.ID || events[0].Outcome != audit.OK {
		t.Errorf("the events are %+v, want one of the import", events)
	}
	// Rotations have nothing to do with it.
	for range 5 {
		if _, err := c.Signing.Rotate(bg, c.Admin); err != nil {
			t.Fatal(err)
		}
		c.Clock.Advance(2 * time.Hour)
		if err := c.Signing.Settle(bg); err != nil {
			t.Fatal(err)
		}
	}
	if got := states(t, c); len(got[keyring.Imported]) != 1 {
		t.Errorf("after rotations the keys are %v, want the imported one still", got)
	}
	// At its end it goes.
	c.Clock.Advance(keyring.ImportFor)
	if _, err := c.Signing.VerifyImported(bg, theirs(c, "HS256", byHMAC(theirSecret))); !errors.Is(err, jose.ErrUnknownKey) {
		t.Errorf("VerifyImported() after the end of the key = %v, want %v", err, jose.ErrUnknownKey)
	}
	if err := c.Signing.Settle(bg); err != nil {
		t.Fatal(err)
	}
	if got := states(t, c); len(got[keyring.Imported]) != 0 {
		t.Errorf("after its end the keys are %v, want it gone", got)
	}
}

// Every algorithm that simplejwt signs by, but ES256K.
func TestImportPublicKeys(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	signers := map[jose.Algorithm]crypto.Signer{"RS512": rsaKey}
	if signers["ES384"], err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if _, signers["EdDSA"], err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	c := started(t, coretest.Options{})
	for alg, signer := range signers {
		der, err := x509.MarshalPKCS8PrivateKey(signer)
		if err != nil {
			t.Fatal(err)
		}
		in := keyring.Import{
			Algorithm: string(alg), Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
			Rules: keyring.Rules{Source: "local", UserIs: keyring.UserName},
		}
		k := mustImport(t, c, in)
		if !strings.HasPrefix(k.Record.ID, "pk_") {
			t.Errorf("%s: the imported key has the id %q, want one that begins with pk_", alg, k.Record.ID)
		}
		if k.Key.Signs() {
			t.Errorf("%s: the imported key signs, want that its private part is gone", alg)
		}
		token := theirs(c, string(alg), func(message []byte) []byte { return signature(t, signer, message) })
		if got, err := c.Signing.VerifyImported(bg, token); err != nil || got.KeyID != k.Record.ID {
			t.Errorf("%s: VerifyImported() = %+v, %v, want it good", alg, got, err)
		}
		// Loaded anew, from what is sealed.
		c.Signing.Changed()
		if _, err := c.Signing.VerifyImported(bg, token); err != nil {
			t.Errorf("%s: VerifyImported() after the keys were loaded again = %v, want it good", alg, err)
		}
		records, err := c.Store.SigningKeys(bg)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			if r.ID == k.Record.ID && strings.Contains(string(r.Sealed)+string(r.Public), string(der)) {
				t.Errorf("%s: the private key is in the database", alg)
			}
		}
	}
}

func signature(t testing.TB, signer crypto.Signer, message []byte) []byte {
	t.Helper()
	hashed := func(h crypto.Hash) []byte {
		sum := h.New()
		sum.Write(message)
		return sum.Sum(nil)
	}
	var out []byte
	var err error
	switch k := signer.(type) {
	case ed25519.PrivateKey:
		out, err = k.Sign(rand.Reader, message, crypto.Hash(0))
	case *rsa.PrivateKey:
		out, err = k.Sign(rand.Reader, hashed(crypto.SHA512), crypto.SHA512)
	case *ecdsa.PrivateKey:
		r, s, e := ecdsa.Sign(rand.Reader, k, hashed(crypto.SHA384))
		if err = e; err == nil {
			out = append(r.FillBytes(make([]byte, 48)), s.FillBytes(make([]byte, 48))...)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// What cannot be imported is refused, with a reason that repeats no secret (S50,
// S57, S76).
func TestImportRefused(t *testing.T) {
	c := started(t, coretest.Options{})
	mustImport(t, c, shared(theirSecret))
	var own string
	keys, err := c.Signing.List(bg, c.Admin)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if k.State == keyring.Active {
			own = k.Key.PublicPEM()
		}
	}
	const short = "planted, but short"
	good := theirSecret + " and another"
	now := c.Clock.Now()
	for name, tt := range map[string]struct {
		change func(*keyring.Import)
		want   fault.Kind
	}{
		"no algorithm":           {func(in *keyring.Import) { in.Algorithm = "" }, fault.Invalid},
		"none":                   {func(in *keyring.Import) { in.Algorithm = "none" }, fault.Invalid},
		"ES256K":                 {func(in *keyring.Import) { in.Algorithm = "ES256K" }, fault.Invalid},
		"no key":                 {func(in *keyring.Import) { in.Key = nil }, fault.Invalid},
		"no key, weak":           {func(in *keyring.Import) { in.Key, in.Weak = nil, true }, fault.Invalid},
		"a short secret":         {func(in *keyring.Import) { in.Key = []byte(short) }, fault.Invalid},
		"a guessable secret":     {func(in *keyring.Import) { in.Key, in.Weak = []byte("planted"), true }, fault.Invalid},
		"a public key as secret": {func(in *keyring.Import) { in.Key, in.Weak = []byte(own), true }, fault.Invalid},
		"a secret as public key": {func(in *keyring.Import) { in.Algorithm = "RS256" }, fault.Invalid},
		"a key of another kind":  {func(in *keyring.Import) { in.Algorithm, in.Key = "RS256", []byte(own) }, fault.Invalid},
		"one of our own":         {func(in *keyring.Import) { in.Algorithm, in.Key = "ES256", []byte(own) }, fault.Conflict},
		"once more":              {func(in *keyring.Import) { in.Key = []byte(theirSecret) }, fault.Conflict},
		"an end in the past":     {func(in *keyring.Import) { in.Until = now }, fault.Invalid},
		"an end too far off":     {func(in *keyring.Import) { in.Until = now.Add(keyring.MaxImportFor + time.Hour) }, fault.Invalid},
		"no source":              {func(in *keyring.Import) { in.Source = "" }, fault.Invalid},
		"another field":          {func(in *keyring.Import) { in.UserIs = "email" }, fault.Invalid},
		"a claim of its own":     {func(in *keyring.Import) { in.UserClaim = "exp" }, fault.Invalid},
		"a claim twice":          {func(in *keyring.Import) { in.UserClaim = "jti" }, fault.Invalid},
		"a bad scope":            {func(in *keyring.Import) { in.Scope = []string{"what?"} }, fault.Invalid},
		"a negative life":        {func(in *keyring.Import) { in.Longest = -1 }, fault.Invalid},
	} {
		in := shared(good)
		tt.change(&in)
		k, err := c.Signing.Import(bg, c.Admin, in)
		if fault.Of(err).Kind != tt.want || err == nil {
			t.Errorf("%s: Import() = %+v, %v, want %s", name, k, err, tt.want)
		} else if strings.Contains(err.Error(), "planted") {
			t.Errorf("%s: Import() = %v, which repeats the secret", name, err)
		}
	}
	weak := shared(short)
	weak.Weak = true
	if k := mustImport(t, c, weak); k.Record.Algorithm != "HS256" {
		t.Errorf("Import(weak) = %+v", k)
	}
	for i := range keyring.MaxImported - 2 {
		mustImport(t, c, shared(fmt.Sprint(good, i)))
	}
	if _, err := c.Signing.Import(bg, c.Admin, shared(good)); !fault.Is(err, fault.Conflict) {
		t.Errorf("Import() of one too many = %v, want a conflict", err)
	}
	for _, e := range c.Events(t, "key.import") {
		if strings.Contains(fmt.Sprintf("%+v", e), "planted") {
			t.Errorf("the event %+v repeats a secret", e)
		}
	}
}

// S78: whoever imports a key can make tokens for everybody, and must be allowed
// to.
func TestImportNeedsRights(t *testing.T) {
	c := started(t, coretest.Options{})
	for grants, want := range map[string]fault.Kind{
		"latchkey:keys:read":  fault.Forbidden,
		"latchkey:keys:write": fault.Forbidden,
	} {
		if _, err := c.Signing.Import(bg, c.User(t, "u"+fmt.Sprint(len(grants)), grants), shared(theirSecret)); !fault.Is(err, want) {
			t.Errorf("Import() with %q = %v, want %s", grants, err, want)
		}
	}
	if _, err := c.Signing.Import(bg, nil, shared(theirSecret)); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("Import() by nobody = %v, want %s", err, fault.Unauthenticated)
	}
	narrow := *c.Admin
	narrow.Method, narrow.TokenID = identity.Token, "tok"
	rules := []string{"latchkey:*:read,write,delete", "path:/a/*:read"}
	narrow.TokenScope = set(t, rules...)
	narrow.Effective = narrow.TokenScope
	if _, err := c.Signing.Import(bg, &narrow, shared(theirSecret)); !fault.Is(err, fault.Forbidden) {
		t.Errorf("Import() of everything by a narrow token = %v, want %s", err, fault.Forbidden)
	}
	within := shared(theirSecret)
	within.Scope = []string{"path:/a/b:read"}
	if _, err := c.Signing.Import(bg, &narrow, within); err != nil {
		t.Errorf("Import() within the token's scope = %v, want no error", err)
	}
}

// A revoked key ends its tokens at once, and does not come back.
func TestImportRevoked(t *testing.T) {
	c := started(t, coretest.Options{})
	k := mustImport(t, c, shared(theirSecret))
	token := theirs(c, "HS256", byHMAC(theirSecret))
	if _, err := c.Signing.VerifyImported(bg, token); err != nil {
		t.Fatalf("VerifyImported() = %v", err)
	}
	generation := c.Signing.Generation()
	got, err := c.Signing.Revoke(bg, c.Admin, k.Record.ID, "leaked")
	if err != nil || got.State != keyring.Withdrawn || c.Signing.Generation() == generation {
		t.Errorf("Revoke() = %+v, %v, want it withdrawn", got, err)
	}
	if _, err := c.Signing.VerifyImported(bg, token); !errors.Is(err, jose.ErrUnknownKey) {
		t.Errorf("VerifyImported() after the key was revoked = %v, want %v", err, jose.ErrUnknownKey)
	}
	if _, err := c.Signing.Import(bg, c.Admin, shared(theirSecret)); !fault.Is(err, fault.Conflict) {
		t.Errorf("Import() of a revoked key = %v, want a conflict", err)
	}
	if _, err := c.Signing.Revoke(bg, c.Admin, k.Record.ID, ""); !fault.Is(err, fault.Conflict) {
		t.Errorf("Revoke() again = %v, want a conflict", err)
	}
}

// Whoever can write to the database alone makes no key count, nor more of one
// that does.
func TestImportIsSealed(t *testing.T) {
	c := started(t, coretest.Options{})
	k := mustImport(t, c, shared(theirSecret))
	token := theirs(c, "HS256", byHMAC(theirSecret))
	records, err := c.Store.SigningKeys(bg)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*store.SigningKey){
		"another source": func(k *store.SigningKey) { k.Imported = strings.Replace(k.Imported, "local", "other", 1) },
		"a later end":    func(k *store.SigningKey) { k.RetireAt = k.RetireAt.Add(time.Hour) },
		"another id":     func(k *store.SigningKey) { k.ID += "x" },
		"our own":        func(k *store.SigningKey) { k.Imported = "" },
		"another alg":    func(k *store.SigningKey) { k.Algorithm = "HS384" },
	} {
		changed := records[indexOf(t, records, k.Record.ID)]
		if err := c.Store.Update(bg, func(tx store.Tx) error {
			change(&changed)
			return errors.Join(tx.DeleteSigningKey(k.Record.ID), tx.InsertSigningKey(changed))
		}); err != nil {
			t.Fatal(err)
		}
		c.Signing.Changed()
		if got, err := c.Signing.VerifyImported(bg, token); !errors.Is(err, jose.ErrUnknownKey) {
			t.Errorf("%s: VerifyImported() = %+v, %v, want %v", name, got, err, jose.ErrUnknownKey)
		}
		if err := c.Store.Update(bg, func(tx store.Tx) error {
			return errors.Join(tx.DeleteSigningKey(changed.ID), tx.InsertSigningKey(records[indexOf(t, records, k.Record.ID)]))
		}); err != nil {
			t.Fatal(err)
		}
		c.Signing.Changed()
		if _, err := c.Signing.VerifyImported(bg, token); err != nil {
			t.Fatalf("%s: VerifyImported() after all was put back = %v", name, err)
		}
	}
}

func indexOf(t testing.TB, list []store.SigningKey, id string) int {
	t.Helper()
	for i, k := range list {
		if k.ID == id {
			return i
		}
	}
	t.Fatalf("there is no key %s", id)
	return 0
}

// S70: an imported key is sealed anew under a new server secret.
func TestImportOutlivesServerSecret(t *testing.T) {
	first := coretest.NewKeys(t)
	c := started(t, coretest.Options{Keys: first})
	mustImport(t, c, shared(theirSecret))
	next := coretest.NewKeys(t)
	both, err := serverkey.NewRing(next.Current(), first.Current())
	if err != nil {
		t.Fatal(err)
	}
	for _, keys := range []*serverkey.Ring{both, next} {
		ring, err := keyring.New(keyring.Options{Store: c.Store, Secrets: keys, Follower: c.Tokens, Audit: c.Audit, Log: c.Log, Now: c.Clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		if err := ring.Start(bg); err != nil {
			t.Fatalf("Start() = %v", err)
		}
		if _, err := ring.VerifyImported(bg, theirs(c, "HS256", byHMAC(theirSecret))); err != nil {
			t.Errorf("VerifyImported() = %v, want it good", err)
		}
	}
}

func TestHasSource(t *testing.T) {
	c := coretest.New(t, coretest.Options{})
	if err := c.Accounts.HasSource(accounts.Local); err != nil {
		t.Errorf("HasSource(local) = %v, want no error", err)
	}
	if err := c.Accounts.HasSource("django"); !fault.Is(err, fault.Invalid) {
		t.Errorf("HasSource(django) = %v, want it refused", err)
	}
}

func set(t testing.TB, rules ...string) scope.Set {
	t.Helper()
	s, err := scope.ParseSet(rules)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
