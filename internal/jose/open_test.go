package jose

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// published writes keys as a server publishes them, and reads them back.
func published(t testing.TB, list ...*Key) map[string]*Key {
	t.Helper()
	var set JWKS
	for _, k := range list {
		for _, id := range []string{k.ID(), k.LibtrustID()} {
			j, err := k.JWK(id)
			if err != nil {
				t.Fatal(err)
			}
			set.Keys = append(set.Keys, j)
		}
	}
	document, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ParsePublished(document)
	if err != nil || len(keys) != len(set.Keys) {
		t.Fatalf("ParsePublished(%s) = %d keys, %v", document, len(keys), err)
	}
	return keys
}

// What is signed by a key is verified by what is published of it, under both of
// its ids, and that can only verify.
func TestPublishedKeysVerify(t *testing.T) {
	for _, alg := range []Algorithm{ES256, EdDSA, RS256, PS256} {
		k := generate(t, alg)
		keys := published(t, k, generate(t, ES256))
		find := func(id string) *Key { return keys[id] }
		for _, id := range []string{k.ID(), k.LibtrustID()} {
			token, err := k.Sign(Header{Type: "Application/AT+jwt", KeyID: id}, good())
			if err != nil {
				t.Fatal(err)
			}
			o, err := Open(token, find)
			if err != nil || o.Type != "at+jwt" || o.Key.ID() != k.ID() || o.Key.Signs() || o.Claims.Text("sub") != "acc_1" || o.ExpiresAt.IsZero() {
				t.Errorf("%s: Open() of a token by the key %q = %+v, %v", alg, id, o, err)
			}
			if _, err := Open(token[:len(token)-2], find); err == nil {
				t.Errorf("%s: Open() takes a token with half a signature", alg)
			}
		}
	}
}

func TestOpen(t *testing.T) {
	k, other := generate(t, ES256), generate(t, ES256)
	header := fmt.Sprintf(`{"alg":"ES256","typ":"at+jwt","kid":%q}`, k.ID())
	for name, tt := range map[string]struct {
		token string
		want  error
		kind  string
	}{
		"nothing":              {"", ErrMalformed, ""},
		"two parts":            {"e30.e30", ErrMalformed, ""},
		"too long":             {strings.Repeat("e", MaxToken) + ".e30.e30", ErrMalformed, ""},
		"no JSON":              {"AAAA.e30.AAAA", ErrMalformed, ""},
		"an extension":         {forge(t, k, with(header, `"crit":["exp"]`), `{"exp":1}`), ErrMalformed, ""},
		"another key":          {sign(t, other, good()), ErrUnknownKey, "at+jwt"},
		"another algorithm":    {forge(t, k, strings.Replace(header, "ES256", "HS256", 1), `{"exp":1}`), ErrUnknownKey, "at+jwt"},
		"another kind, forged": {forge(t, other, strings.Replace(header, "at+jwt", "JWT", 1), `{"exp":1}`), ErrSignature, "jwt"},
		"claims twice":         {forge(t, k, header, `{"exp":1,"exp":1}`), ErrMalformed, "at+jwt"},
		"no end":               {forge(t, k, header, `{"sub":"a"}`), ErrClaims, "at+jwt"},
		"an end that is none":  {forge(t, k, header, `{"exp":"soon"}`), ErrClaims, "at+jwt"},
		"long past":            {forge(t, k, header, `{"exp":1}`), nil, "at+jwt"}, // which the caller judges
		"no kind":              {forge(t, k, strings.Replace(header, `"typ":"at+jwt",`, "", 1), `{"exp":1}`), nil, ""},
	} {
		if o, err := Open(tt.token, only(k)); !errors.Is(err, tt.want) || o.Type != tt.kind {
			t.Errorf("%s: Open() = %q, %v, want %q, %v", name, o.Type, err, tt.kind, tt.want)
		}
	}
}

// S57: keys that are weak, or nothing that verifies, are left out of a set, and a
// set that can be read in two ways is refused.
func TestParsePublished(t *testing.T) {
	k := generate(t, ES256)
	j, err := k.JWK("good")
	if err != nil {
		t.Fatal(err)
	}
	usable := fmt.Sprintf(`{"kty":"EC","crv":"P-256","alg":"ES256","kid":"good","x":%q,"y":%q}`, j.X, j.Y)
	member := func(from, to string) string { return strings.Replace(usable, from, to, 1) }
	for name, odd := range map[string]string{
		"a secret":               `{"kty":"oct","kid":"x","alg":"HS256","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`,
		"no id":                  member(`"good"`, `""`),
		"no algorithm":           member(`"alg":"ES256",`, ``),
		"another algorithm":      member(`"ES256"`, `"RS256"`),
		"another curve":          member(`"P-256"`, `"P-384"`),
		"not on the curve":       strings.Replace(usable, j.X, j.Y, 1),
		"for encryption":         member(`"kty"`, `"use":"enc","kty"`),
		"a short coordinate":     strings.Replace(usable, j.X, j.X[:20], 1),
		"a coordinate, padded":   strings.Replace(usable, j.X, j.X+"=", 1),
		"a small RSA key":        `{"kty":"RSA","kid":"x","alg":"RS256","n":"AQAB","e":"AQAB"}`,
		"an exponent too large":  `{"kty":"RSA","kid":"x","alg":"RS256","n":"AQAB","e":"AQABAQAB"}`,
		"a short Ed25519 key":    `{"kty":"OKP","crv":"Ed25519","kid":"x","alg":"EdDSA","x":"AQAB"}`,
		"another curve of Edw.":  `{"kty":"OKP","crv":"X25519","kid":"x","alg":"EdDSA","x":"AQAB"}`,
		"a kind not yet known":   `{"kty":"AKP","kid":"x","alg":"ML-DSA-44","pub":"AQAB"}`,
		"nothing at all in it":   `{}`,
		"a private key, unasked": member(`"kid":"good"`, `"kid":"x","d":"AQAB","use":"enc"`),
	} {
		keys, err := ParsePublished([]byte(`{"keys":[` + odd + `,` + member(`"good"`, `"beside"`) + `]}`))
		if err != nil || len(keys) != 1 || keys["beside"] == nil {
			t.Errorf("%s: ParsePublished() = %v, %v, want it left out and the other one there", name, keys, err)
		}
	}
	for name, document := range map[string]string{
		"nothing": ``, "no object": `[]`, "no keys": `{}`, "keys that are none": `{"keys":1}`, "null": `{"keys":null}`, "something behind": `{"keys":[]}x`,
		"a member twice": `{"keys":[],"keys":[]}`, "an id twice": `{"keys":[` + usable + `,` + usable + `]}`,
		"too many": `{"keys":[` + strings.Repeat(`{},`, maxPublished) + `{}]}`,
	} {
		if keys, err := ParsePublished([]byte(document)); err == nil {
			t.Errorf("%s: ParsePublished() = %v, want an error", name, keys)
		}
	}
}

// FuzzParsePublished reads sets as anybody may send them: what is taken verifies
// and can be written again as it was read.
func FuzzParsePublished(f *testing.F) {
	k, _ := fuzzed(f)
	j, err := k.JWK("a")
	if err != nil {
		f.Fatal(err)
	}
	one, err := json.Marshal(JWKS{Keys: []JWK{j}})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{string(one), `{"keys":[]}`, `{"keys":[{}]}`, `{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"r","alg":"PS256"}]}`, `{"KEYS":[{"KTY":"EC"}]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		keys, err := ParsePublished(document)
		if err != nil && keys != nil {
			t.Fatalf("ParsePublished(%q) = %v with %v", document, keys, err)
		}
		for id, key := range keys {
			if id == "" || key == nil || key.Signs() || key.Algorithm() == HS256 {
				t.Fatalf("ParsePublished(%q) has %v under %q", document, key, id)
			}
			written, err := key.JWK(id)
			if err != nil {
				t.Fatalf("the key %q cannot be written: %v", id, err)
			}
			if again, err := written.key(); err != nil || again.ID() != key.ID() {
				t.Fatalf("the key %q is read again as %v, %v", id, again, err)
			}
		}
	})
}
