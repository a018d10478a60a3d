package jose

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// fuzzed is a verifier whose key is the same in every run, so that what was
// found stays found.
func fuzzed(t testing.TB) (*Key, ed25519.PublicKey) {
	t.Helper()
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte("fuzz"), 8))
	k, err := NewPrivateKey(EdDSA, private)
	if err != nil {
		t.Fatal(err)
	}
	return k, private.Public().(ed25519.PublicKey)
}

// seeds are tokens of all forms.
func seeds(t testing.TB, k *Key) []string {
	header := fmt.Sprintf(`{"alg":"EdDSA","typ":"at+jwt","kid":%q}`, k.ID())
	token := sign(t, k, good())
	parts := strings.Split(token, ".")
	return []string{
		"", "..", ".", token, token + "=", token + ".", parts[0] + "." + parts[1] + ".", parts[0] + ".." + parts[2], "." + parts[1] + "." + parts[2],
		"eyJhbGciOiJub25lIn0.e30.", "e30.e30.e30", "e30.W10.AA", strings.Repeat(".", 100), "eyJhbGciOiJFUzI1NiIsImtpZCI6IiIsInR5cCI6ImF0K2p3dCJ9.e30.AA",
		forge(t, k, header, `{"sub":"a","sub":"b"}`), forge(t, k, header, `{"exp":1e400}`), forge(t, k, header, `{"exp":-1}`), forge(t, k, header, "{\"x\":\"\xff\"}"),
		forge(t, k, header, `{"x":"\ud800"}`), forge(t, k, header, `{"x":`+strings.Repeat("[", 20)+strings.Repeat("]", 20)+`}`),
		forge(t, k, header, `{"iss":"`+issuer+`","aud":["`+audience+`"]}`), forge(t, k, with(header, `"crit":["x"]`), `{}`), forge(t, k, with(header, `"typ":"JWT"`), `{}`),
		forge(t, k, with(header, `"jwk":{"kty":"oct","k":"AAAA"}`), `{}`), "eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0.AAAA.AAAA.AAAA.AAAA",
		`{"payload":"e30","protected":"e30","signature":""}`,
	}
}

// canonical checks what Decode and Verify have both taken: there is one
// spelling of it, and encoding/json reads it the same way.
func canonical(t *testing.T, text string, claims Claims) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 || len(text) > MaxToken {
		t.Fatalf("%q was taken, want three parts in %d bytes", text, MaxToken)
	}
	var decoded [3][]byte
	for i, p := range parts {
		b, err := base64.RawURLEncoding.DecodeString(p)
		if again := base64.RawURLEncoding.EncodeToString(b); err != nil || again != p {
			t.Fatalf("%q was taken, whose part %d is written %q", text, i, again)
		}
		decoded[i] = b
	}
	d := json.NewDecoder(bytes.NewReader(decoded[1]))
	d.UseNumber()
	var want map[string]any
	if err := d.Decode(&want); err != nil || !reflect.DeepEqual(want, map[string]any(claims)) {
		t.Fatalf("%q was read as %v, and by encoding/json as %v, %v", text, claims, want, err)
	}
}

// FuzzVerify checks that nothing makes Verify panic, and that what it takes was
// signed, as the standard library says, and is written in the one way (S61).
func FuzzVerify(f *testing.F) {
	k, public := fuzzed(f)
	for _, seed := range seeds(f, k) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		// Any key id leads to the key, so that as much as possible is reached.
		got, err := AccessToken(issuer, audience).Verify(text, func(string) *Key { return k }, noon)
		if err != nil {
			return
		}
		canonical(t, text, got.Claims)
		signed, signature := text[:strings.LastIndexByte(text, '.')], text[strings.LastIndexByte(text, '.')+1:]
		raw, err := base64.RawURLEncoding.DecodeString(signature)
		if err != nil || !ed25519.Verify(public, []byte(signed), raw) {
			t.Errorf("Verify(%q) = %+v, but it is not signed", text, got)
		}
	})
}

// FuzzVerifySigned lets the key sign anything: what is taken then is a token of
// the right kind, in time, with a reading that others agree with (S61).
func FuzzVerifySigned(f *testing.F) {
	k, _ := fuzzed(f)
	header := fmt.Sprintf(`{"alg":"EdDSA","typ":"at+jwt","kid":%q}`, k.ID())
	payload, err := json.Marshal(good())
	if err != nil {
		f.Fatal(err)
	}
	for _, members := range []string{`"x":1`, `"sub":"acc_2"`, `"s\u0075b":"b"`, `"exp":1e400`, `"exp":-1`, `"nbf":1.5`, `"x":{"a":[1,2,{"b":null}]}`, `"x":"\ud83d\ude00"`, `"x":"\ud800"`, "\"x\":\"\xff\""} {
		f.Add(header, with(string(payload), members))
		f.Add(with(header, members), string(payload))
	}
	f.Add(header, string(payload))
	f.Add(header+" ", " "+string(payload)+"\n")
	f.Add(with(header, `"crit":["kid"]`), string(payload))
	f.Add(strings.Replace(header, "at+jwt", "JWT", 1), string(payload))
	f.Fuzz(func(t *testing.T, header, payload string) {
		token := forge(t, k, header, payload)
		got, err := AccessToken(issuer, audience).Verify(token, only(k), noon)
		if err != nil {
			return
		}
		canonical(t, token, got.Claims)
		var h map[string]any // by exact names, which fields of a struct do not have
		d := json.NewDecoder(strings.NewReader(header))
		d.UseNumber()
		err = d.Decode(&h)
		kind, _ := h["typ"].(string)
		if _, critical := h["crit"]; err != nil || critical || h["alg"] != "EdDSA" || h["kid"] != k.ID() || !strings.HasSuffix(strings.ToLower(kind), "at+jwt") {
			t.Errorf("Verify() took a token with the header %q", header)
		}
		if !noon.Before(got.ExpiresAt) || got.IssuedAt.After(noon) || got.NotBefore.After(noon) || got.Claims.Text("iss") != issuer || got.Claims.Text("sub") == "" {
			t.Errorf("Verify() took a token with the payload %q", payload)
		}
	})
}

// FuzzDecode checks that what is decoded without being verified is written in
// the one way, too (S61).
func FuzzDecode(f *testing.F) {
	k, _ := fuzzed(f)
	for _, seed := range seeds(f, k) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := Decode(text); err == nil {
			canonical(t, text, got.Claims)
		}
	})
}
