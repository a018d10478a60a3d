package jose

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// issuerKey is a key of another issuer, who signs without naming it.
type issuerKey struct {
	alg     Algorithm
	private crypto.Signer
	secret  []byte
}

// token signs claims as PyJWT does: with "alg" and "typ" in the header alone.
func (k issuerKey) token(t testing.TB, header string, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	if header == "" {
		header = fmt.Sprintf(`{"alg":%q,"typ":"JWT"}`, k.alg)
	}
	b64 := base64.RawURLEncoding
	text := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString(payload)
	return text + "." + b64.EncodeToString(k.sign(t, []byte(text)))
}

func (k issuerKey) sign(t testing.TB, message []byte) []byte {
	t.Helper()
	tr, _ := k.alg.traits()
	var out []byte
	var err error
	switch tr.family {
	case hmacFamily:
		out = hmacOf(tr.hash, k.secret, message)
	case ecdsaFamily:
		size := (tr.curve.Params().BitSize + 7) / 8
		r, s, e := ecdsa.Sign(rand.Reader, k.private.(*ecdsa.PrivateKey), tr.digest(message))
		if err = e; err == nil {
			out = append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
		}
	case pkcs1Family:
		out, err = k.private.Sign(rand.Reader, tr.digest(message), tr.hash)
	case pssFamily:
		out, err = k.private.Sign(rand.Reader, tr.digest(message), pss(tr.hash))
	case edFamily:
		out, err = k.private.Sign(rand.Reader, message, crypto.Hash(0))
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// issuers are keys of every algorithm that is verified for others, with what
// they are verified by.
func issuers(t testing.TB) map[Algorithm]struct {
	signs    issuerKey
	verifies *Key
} {
	t.Helper()
	out := map[Algorithm]struct {
		signs    issuerKey
		verifies *Key
	}{}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, alg := range []Algorithm{HS256, HS384, HS512, ES256, ES384, ES512, RS256, RS384, RS512, PS256, PS384, PS512, EdDSA} {
		tr, ok := alg.traits()
		if !ok {
			t.Fatalf("%s is not known", alg)
		}
		k := issuerKey{alg: alg, private: rsaKey}
		var verifies *Key
		switch tr.family {
		case hmacFamily:
			k.secret = bytes.Repeat([]byte(alg), 16)
			verifies, err = NewShared(alg, "imported", k.secret, false)
		case ecdsaFamily:
			k.private, err = ecdsa.GenerateKey(tr.curve, rand.Reader)
		case edFamily:
			k.private, err = EdDSA.generate()
		}
		if err == nil && verifies == nil {
			verifies, err = NewPublicKey(alg, k.private.Public())
		}
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		out[alg] = struct {
			signs    issuerKey
			verifies *Key
		}{k, verifies}
	}
	return out
}

func foreignClaims() map[string]any {
	return map[string]any{"exp": noon.Add(time.Minute).Unix(), "iat": noon.Unix(), "jti": "j", "user_id": "1"}
}

// S50: a token without a kid is taken by the keys of its own algorithm alone,
// whatever its header says.
func TestSignerOf(t *testing.T) {
	all := issuers(t)
	var keys []*Key
	for _, i := range all {
		keys = append(keys, i.verifies)
	}
	for alg, i := range all {
		token := i.signs.token(t, "", foreignClaims())
		if got, err := SignerOf(token, "JWT", keys); err != nil || got != i.verifies {
			t.Errorf("%s: SignerOf() = %v, %v, want %v", alg, got, err, i.verifies)
		}
		if _, err := SignerOf(token, "at+jwt", keys); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: SignerOf() for another type = %v, want %v", alg, err, ErrMalformed)
		}
		if _, err := SignerOf(token[:len(token)-4]+"AAAA", "JWT", keys); !errors.Is(err, ErrSignature) && !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: SignerOf() with another end of the signature = %v, want it refused", alg, err)
		}
		for other := range all {
			if other == alg {
				continue
			}
			if got, err := SignerOf(i.signs.token(t, fmt.Sprintf(`{"alg":%q,"typ":"JWT"}`, other), foreignClaims()), "JWT", keys); err == nil {
				t.Errorf("%s under the name of %s: SignerOf() = %v, want it refused", alg, other, got)
			}
		}
	}
}

// S50, S51, S56: none of the tricks with headers finds a key.
func TestSignerOfTricks(t *testing.T) {
	all := issuers(t)
	hs, rs := all[HS256], all[RS256]
	keys := []*Key{hs.verifies, rs.verifies}
	for name, header := range map[string]string{
		"none":                 `{"alg":"none","typ":"JWT"}`,
		"None":                 `{"alg":"None","typ":"JWT"}`,
		"no algorithm":         `{"typ":"JWT"}`,
		"in small letters":     `{"alg":"hs256","typ":"JWT"}`,
		"an empty kid":         `{"alg":"HS256","typ":"JWT","kid":""}`,
		"the key's own id":     `{"alg":"HS256","typ":"JWT","kid":"imported"}`,
		"a path as kid":        `{"alg":"HS256","typ":"JWT","kid":"../../dev/null"}`,
		"SQL as kid":           `{"alg":"HS256","typ":"JWT","kid":"' OR 1=1 --"}`,
		"a number as kid":      `{"alg":"HS256","typ":"JWT","kid":0}`,
		"no kid, but null":     `{"alg":"HS256","typ":"JWT","kid":null}`,
		"two algorithms":       `{"alg":"HS256","alg":"RS256","typ":"JWT"}`,
		"critical":             `{"alg":"HS256","typ":"JWT","crit":["exp"]}`,
		"unencoded":            `{"alg":"HS256","typ":"JWT","b64":false}`,
		"compressed":           `{"alg":"HS256","typ":"JWT","zip":"DEF"}`,
		"without a type":       `{"alg":"HS256"}`,
		"an array for the alg": `{"alg":["HS256"],"typ":"JWT"}`,
	} {
		if got, err := SignerOf(hs.signs.token(t, header, foreignClaims()), "JWT", keys); err == nil {
			t.Errorf("%s: SignerOf() = %v, want it refused", name, got)
		}
	}
	// What says where to get a key is not listened to: the known key counts.
	jku := `{"alg":"HS256","typ":"JWT","jku":"http://127.0.0.1:1/","x5u":"http://127.0.0.1:1/","jwk":{"kty":"oct","k":"AAAA"}}`
	if got, err := SignerOf(hs.signs.token(t, jku, foreignClaims()), "JWT", keys); err != nil || got != hs.verifies {
		t.Errorf("SignerOf() with a jku = %v, %v, want the key that is known", got, err)
	}
	// The public key, in all its spellings, as the secret of an HMAC.
	for _, secret := range [][]byte{rs.verifies.Public(), []byte(rs.verifies.PublicPEM()), []byte(strings.TrimSpace(rs.verifies.PublicPEM()))} {
		for _, alg := range []Algorithm{HS256, HS384, HS512} {
			if got, err := SignerOf(issuerKey{alg: alg, secret: secret}.token(t, "", foreignClaims()), "JWT", keys); err == nil {
				t.Errorf("%s by the public key: SignerOf() = %v, want it refused", alg, got)
			}
		}
	}
}

// S57, S71: what is no secret, or too weak for one, is not taken.
func TestSharedSecrets(t *testing.T) {
	public := issuers(t)[RS256].verifies
	for _, c := range []struct {
		alg    Algorithm
		secret string
		weak   bool
		ok     bool
	}{
		{HS256, strings.Repeat("s", 32), false, true}, {HS256, strings.Repeat("s", 31), false, false},
		{HS384, strings.Repeat("s", 48), false, true}, {HS384, strings.Repeat("s", 47), false, false},
		{HS512, strings.Repeat("s", 64), false, true}, {HS512, strings.Repeat("s", 63), false, false},
		{HS512, strings.Repeat("s", 50), true, true}, {HS256, strings.Repeat("s", 16), true, true},
		{HS256, strings.Repeat("s", 15), true, false}, {HS256, "", true, false}, {HS256, "", false, false},
		{HS256, public.PublicPEM(), false, false}, {HS256, "x" + public.PublicPEM(), true, false},
		{RS256, strings.Repeat("s", 64), false, false}, {"none", strings.Repeat("s", 64), true, false}, {"", strings.Repeat("s", 64), true, false},
	} {
		k, err := NewShared(c.alg, "k", []byte(c.secret), c.weak)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrWeakKey) {
			t.Errorf("NewShared(%s, %d bytes, %v) = %v, %v, want ok %v", c.alg, len(c.secret), c.weak, k, err, c.ok)
		}
		if err != nil && c.secret != "" && strings.Contains(err.Error(), c.secret) {
			t.Errorf("NewShared(%s) = %v, which repeats the secret", c.alg, err)
		}
	}
	empty := &Key{alg: HS256, id: "empty"}
	if _, err := SignerOf(issuerKey{alg: HS256}.token(t, "", foreignClaims()), "JWT", []*Key{empty}); err == nil {
		t.Error("SignerOf() by an empty secret = nil error, want it refused")
	}
}

func TestKeysOfOtherCurvesInPEM(t *testing.T) {
	for alg, curve := range map[Algorithm]elliptic.Curve{ES384: elliptic.P384(), ES512: elliptic.P521()} {
		private, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		k, err := NewPublicKey(alg, private.Public())
		if err != nil {
			t.Fatalf("NewPublicKey(%s) = %v", alg, err)
		}
		got, err := ParsePEM(alg, []byte(k.PublicPEM()))
		if err != nil || !got.Same(k) || got.ID() != k.ID() || got.Tag() != k.Tag() {
			t.Errorf("ParsePEM(%s) = %v, %v, want %v", alg, got, err, k)
		}
		if got, err := ParsePEM(ES256, []byte(k.PublicPEM())); err == nil {
			t.Errorf("ParsePEM(ES256) of a key for %s = %v, want an error", alg, got)
		}
	}
}

func TestPublicOnly(t *testing.T) {
	k := generate(t, ES256)
	public := k.PublicOnly()
	if public.Signs() || !k.Signs() || !public.Same(k) || public.Tag() != k.Tag() {
		t.Errorf("PublicOnly() = %v, signs %v, want the same key that does not sign", public, public.Signs())
	}
	if _, err := public.Private(); err == nil {
		t.Error("Private() of the public part = nil error, want one")
	}
	one, err := NewShared(HS256, "a", bytes.Repeat([]byte("a"), 32), false)
	if err != nil {
		t.Fatal(err)
	}
	two, err := NewShared(HS256, "b", bytes.Repeat([]byte("b"), 32), false)
	if err != nil {
		t.Fatal(err)
	}
	if one.Same(two) || one.Same(k) || k.Same(one) || !one.Same(one) || one.Tag() == two.Tag() {
		t.Error("Same() and Tag() do not tell keys apart")
	}
	if block, _ := pem.Decode([]byte(one.PublicPEM())); block != nil || one.Public() != nil {
		t.Errorf("a shared secret is published as %q", one.PublicPEM())
	}
}

func hmacOf(hash crypto.Hash, secret, message []byte) []byte {
	mac := hmac.New(hash.New, secret)
	mac.Write(message)
	return mac.Sum(nil)
}

// A key is none of the bytes that it was read from.
func TestKeysKeepNothing(t *testing.T) {
	for _, alg := range []Algorithm{ES256, EdDSA, PS256} {
		k := generate(t, alg)
		der := k.Public()
		got, err := ParsePublic(alg, der)
		if err != nil {
			t.Fatal(err)
		}
		clear(der)
		if _, err := AccessToken(issuer, audience).Verify(sign(t, k, good()), only(got), noon); err != nil {
			t.Errorf("%s: Verify() after what the key was read from was cleared = %v, want no error", alg, err)
		}
	}
}
