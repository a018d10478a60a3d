package jose

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
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"
)

// noon is the time at which tokens are judged.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	issuer   = "https://tokens.example"
	audience = "https://files.example"
)

func generate(t testing.TB, alg Algorithm) *Key {
	t.Helper()
	k, err := Generate(alg)
	if err != nil {
		t.Fatalf("Generate(%s) = %v", alg, err)
	}
	return k
}

// good are the claims of an access token in order.
func good() map[string]any {
	return map[string]any{
		"iss": issuer, "aud": audience, "sub": "acc_1", "client_id": "cli", "jti": "1",
		"iat": noon.Unix(), "nbf": noon.Unix(), "exp": noon.Unix() + 60,
	}
}

func sign(t testing.TB, k *Key, claims any) string {
	t.Helper()
	token, err := k.Sign(Header{Type: "at+jwt"}, claims)
	if err != nil {
		t.Fatalf("Sign() = %v", err)
	}
	return token
}

// only knows one key.
func only(k *Key) Keys {
	return func(id string) *Key {
		if id == k.ID() {
			return k
		}
		return nil
	}
}

// forge signs a header and a payload as they are written, whatever they say.
func forge(t testing.TB, k *Key, header, payload string) string {
	t.Helper()
	b64 := base64.RawURLEncoding
	text := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(payload))
	var signature []byte
	if k.alg == HS256 {
		mac := hmac.New(sha256.New, k.secret)
		mac.Write([]byte(text))
		signature = mac.Sum(nil)
	} else {
		var err error
		if signature, err = k.alg.sign(k.private, []byte(text)); err != nil {
			t.Fatalf("sign() = %v", err)
		}
	}
	return text + "." + b64.EncodeToString(signature)
}

func TestSignAndVerify(t *testing.T) {
	for _, alg := range []Algorithm{ES256, EdDSA, RS256, PS256} {
		k := generate(t, alg)
		token := sign(t, k, good())
		got, err := AccessToken(issuer, audience).Verify(token, only(k), noon)
		if err != nil {
			t.Errorf("%s: Verify() = %v, want no error", alg, err)
			continue
		}
		if got.Claims.Text("sub") != "acc_1" || !got.ExpiresAt.Equal(noon.Add(time.Minute)) || got.Key != k {
			t.Errorf("%s: Verify() = %+v, want the claims that were signed", alg, got)
		}
		// The same key without its private part, as others have it.
		public, err := ParsePublic(alg, k.Public())
		if err != nil || public.ID() != k.ID() || public.Signs() {
			t.Fatalf("%s: ParsePublic() = %v, %v, want %v", alg, public, err, k)
		}
		if _, err := AccessToken(issuer, audience).Verify(token, only(public), noon); err != nil {
			t.Errorf("%s: Verify() by the public part = %v, want no error", alg, err)
		}
		if _, err := public.Sign(Header{Type: "at+jwt"}, good()); !errors.Is(err, errUnsigned) {
			t.Errorf("%s: Sign() without a private part = %v, want %v", alg, err, errUnsigned)
		}
		other := generate(t, alg)
		if _, err := AccessToken(issuer, audience).Verify(token, func(string) *Key { return other }, noon); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: Verify() by another key = %v, want %v", alg, err, ErrSignature)
		}
	}
}

// S50: the algorithm is the key's, whatever the header says.
func TestAlgorithmIsTheKeys(t *testing.T) {
	payload, err := json.Marshal(good())
	if err != nil {
		t.Fatal(err)
	}
	keys := []*Key{generate(t, ES256), generate(t, EdDSA), generate(t, RS256), generate(t, PS256)}
	for _, k := range keys {
		for _, alg := range []string{"none", "None", "NONE", "", "HS256", "HS512", "ES384", "ES256K", "RS384", "Ed25519", "es256", "ES256", "EdDSA", "RS256", "PS256"} {
			token := forge(t, k, fmt.Sprintf(`{"alg":%q,"typ":"at+jwt","kid":%q}`, alg, k.ID()), string(payload))
			_, err := AccessToken(issuer, audience).Verify(token, only(k), noon)
			if same := alg == string(k.alg); (err == nil) != same {
				t.Errorf("%s key, header %q: Verify() = %v, want ok %v", k.alg, alg, err, same)
			}
		}
		// The public key, in all its spellings, as the secret of an HMAC.
		for _, secret := range [][]byte{k.Public(), []byte(k.PublicPEM()), []byte(strings.TrimSpace(k.PublicPEM()))} {
			confused := &Key{alg: HS256, id: k.ID(), secret: secret}
			token := forge(t, confused, fmt.Sprintf(`{"alg":"HS256","typ":"at+jwt","kid":%q}`, k.ID()), string(payload))
			if _, err := AccessToken(issuer, audience).Verify(token, only(k), noon); !errors.Is(err, ErrUnknownKey) {
				t.Errorf("%s key: Verify() of an HMAC by the public key = %v, want %v", k.alg, err, ErrUnknownKey)
			}
		}
		unsigned := strings.Join(strings.Split(sign(t, k, good()), ".")[:2], ".") + "."
		if _, err := AccessToken(issuer, audience).Verify(unsigned, only(k), noon); !errors.Is(err, ErrSignature) {
			t.Errorf("%s key: Verify() without a signature = %v, want %v", k.alg, err, ErrSignature)
		}
	}
	secret, err := NewSecretKey("theirs", []byte(strings.Repeat("s", 32)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := AccessToken(issuer, audience).Verify(forge(t, secret, `{"alg":"HS256","typ":"at+jwt","kid":"theirs"}`, string(payload)), only(secret), noon); err != nil {
		t.Errorf("Verify() by a shared secret = %v, want no error", err)
	}
	if _, err := secret.Sign(Header{Type: "at+jwt"}, good()); err == nil {
		t.Error("Sign() by a shared secret = nil error, want one")
	}
}

// S51, S56: nothing in a header leads to a key but the kid, which is only
// looked up.
func TestHeaders(t *testing.T) {
	k, attacker := generate(t, ES256), generate(t, ES256)
	payload, err := json.Marshal(good())
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := attacker.JWK(attacker.ID())
	if err != nil {
		t.Fatal(err)
	}
	embedded, err := json.Marshal(jwk)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := attacker.Certificate("attacker", noon)
	if err != nil {
		t.Fatal(err)
	}
	base := fmt.Sprintf(`"alg":"ES256","typ":"at+jwt","kid":%q`, k.ID())
	for _, c := range []struct {
		by     *Key
		header string
		want   error
	}{
		{k, `{` + base + `}`, nil},
		{k, `{` + base + `,"jku":"https://evil.example/jwks.json","x5u":"file:///etc/passwd"}`, nil}, // never read
		{k, `{"alg":"ES256","typ":"application/at+jwt","kid":"` + k.ID() + `"}`, nil},
		{k, `{"alg":"ES256","typ":"AT+JWT","kid":"` + k.ID() + `"}`, nil},
		{attacker, `{` + base + `,"jwk":` + string(embedded) + `}`, ErrSignature},
		{attacker, `{` + base + `,"x5c":["` + base64.StdEncoding.EncodeToString(certificate) + `"]}`, ErrSignature},
		{attacker, `{"alg":"ES256","typ":"at+jwt","jwk":` + string(embedded) + `}`, ErrUnknownKey},
		{attacker, `{"alg":"ES256","typ":"at+jwt","kid":"` + attacker.ID() + `"}`, ErrUnknownKey},
		{k, `{"alg":"ES256","typ":"at+jwt","kid":"../../` + k.ID() + `"}`, ErrUnknownKey},
		{k, `{"alg":"ES256","typ":"at+jwt","kid":""}`, ErrUnknownKey},
		{k, `{"alg":"ES256","typ":"at+jwt","kid":7}`, ErrMalformed},
		{k, `{"alg":"ES256","typ":"at+jwt","kid":null}`, ErrMalformed},
		{k, `{` + base + `,"crit":["exp"]}`, ErrMalformed},
		{k, `{` + base + `,"crit":[]}`, ErrMalformed},
		{k, `{` + base + `,"zip":"DEF"}`, ErrMalformed},
		{k, `{` + base + `,"b64":false}`, ErrMalformed},
		{k, `{` + base + `,"alg":"ES256"}`, ErrMalformed}, // twice
		{k, `{` + base + `} `, nil},
		{k, `{` + base + `}{}`, ErrMalformed},
		{k, `{"alg":["ES256"],"typ":"at+jwt","kid":"` + k.ID() + `"}`, ErrUnknownKey},
		// S52: other kinds of tokens.
		{k, `{"alg":"ES256","kid":"` + k.ID() + `"}`, ErrMalformed},
		{k, `{"alg":"ES256","typ":"JWT","kid":"` + k.ID() + `"}`, ErrMalformed},
		{k, `{"alg":"ES256","typ":"latchkey-assertion+jwt","kid":"` + k.ID() + `"}`, ErrMalformed},
		{k, `[]`, ErrMalformed},
		{k, `null`, ErrMalformed},
		{k, ``, ErrMalformed},
	} {
		_, err := AccessToken(issuer, audience).Verify(forge(t, c.by, c.header, string(payload)), only(k), noon)
		if !errors.Is(err, c.want) {
			t.Errorf("Verify() with the header %s = %v, want %v", c.header, err, c.want)
		}
	}
	if _, err := (Profile{Issuer: issuer, Audience: audience}).Verify(sign(t, k, good()), only(k), noon); !errors.Is(err, ErrMalformed) {
		t.Errorf("Verify() by a profile without a type = %v, want %v", err, ErrMalformed)
	}
}

// S52, S53
func TestClaims(t *testing.T) {
	k := generate(t, EdDSA)
	now := noon.Unix()
	for _, c := range []struct {
		name   string
		change map[string]any // nil removes the claim
		want   error
	}{
		{"in order", nil, nil},
		{"audience in a list", map[string]any{"aud": []string{"https://other.example", audience}}, nil},
		{"another claim", map[string]any{"roles": []any{"a", 1.5, nil, map[string]any{"x": 1}}}, nil},
		{"without nbf", map[string]any{"nbf": nil}, nil},
		{"expired within the leeway", map[string]any{"exp": now - 29}, nil},
		{"from the future within the leeway", map[string]any{"iat": now + 30, "nbf": now + 30}, nil},
		{"the last date", map[string]any{"exp": json.Number("9007199254740992")}, nil},

		{"expired", map[string]any{"exp": now - 30}, ErrExpired},
		{"expired for long", map[string]any{"exp": 0}, ErrExpired},
		{"not yet", map[string]any{"nbf": now + 31}, ErrClaims},
		{"made in the future", map[string]any{"iat": now + 31}, ErrClaims},
		{"without exp", map[string]any{"exp": nil}, ErrClaims},
		{"exp is null", map[string]any{"exp": json.RawMessage("null")}, ErrClaims},
		{"exp as text", map[string]any{"exp": fmt.Sprint(now + 60)}, ErrClaims},
		{"exp with a fraction", map[string]any{"exp": json.Number(fmt.Sprint(now+60) + ".0")}, ErrClaims},
		{"exp with an exponent", map[string]any{"exp": json.Number("1e12")}, ErrClaims},
		{"exp beyond 2^53", map[string]any{"exp": json.Number("9007199254740993")}, ErrClaims},
		{"exp beyond 2^64", map[string]any{"exp": json.Number("18446744073709551617")}, ErrClaims},
		{"nbf negative", map[string]any{"nbf": -1}, ErrClaims},
		{"iat negative zero", map[string]any{"iat": json.Number("-0")}, ErrClaims},
		{"iat as a list", map[string]any{"iat": []int64{now}}, ErrClaims},

		{"another issuer", map[string]any{"iss": issuer + "/"}, ErrClaims},
		{"issuers in a list", map[string]any{"iss": []string{issuer}}, ErrClaims},
		{"without issuer", map[string]any{"iss": nil}, ErrClaims},
		{"another audience", map[string]any{"aud": "https://files.example.evil"}, ErrClaims},
		{"no audience", map[string]any{"aud": []string{}}, ErrClaims},
		{"an audience of any type", map[string]any{"aud": []any{audience, 1}}, ErrClaims},
		{"without audience", map[string]any{"aud": nil}, ErrClaims},
		{"without subject", map[string]any{"sub": nil}, ErrClaims},
		{"an empty subject", map[string]any{"sub": ""}, ErrClaims},
		{"a subject that is no text", map[string]any{"sub": 1}, ErrClaims},
		{"without id", map[string]any{"jti": nil}, ErrClaims},
		{"without client", map[string]any{"client_id": nil}, ErrClaims},
		{"without iat", map[string]any{"iat": nil}, ErrClaims},
	} {
		claims := good()
		for name, v := range c.change {
			if claims[name] = v; v == nil {
				delete(claims, name)
			}
		}
		p := AccessToken(issuer, audience)
		p.Leeway = 30 * time.Second
		if _, err := p.Verify(sign(t, k, claims), only(k), noon); !errors.Is(err, c.want) {
			t.Errorf("%s: Verify() = %v, want %v", c.name, err, c.want)
		}
	}
}

// S53: no leeway is longer than a minute.
func TestLeewayIsBounded(t *testing.T) {
	k := generate(t, EdDSA)
	claims := good()
	claims["exp"] = noon.Unix() - 61
	p := AccessToken(issuer, audience)
	for _, leeway := range []time.Duration{time.Hour, -time.Hour} {
		p.Leeway = leeway
		if _, err := p.Verify(sign(t, k, claims), only(k), noon); !errors.Is(err, ErrExpired) {
			t.Errorf("Verify() with a leeway of %s, 61 s late = %v, want %v", leeway, err, ErrExpired)
		}
	}
	if _, err := p.Verify(sign(t, k, good()), only(k), noon); err != nil {
		t.Errorf("Verify() with a negative leeway = %v, want that of none", err)
	}
}

// Without an issuer or audience in the profile, the token must have none.
func TestNobodyElses(t *testing.T) {
	k := generate(t, EdDSA)
	p := Profile{Type: "at+jwt"}
	if _, err := p.Verify(sign(t, k, map[string]any{"exp": noon.Unix() + 1}), only(k), noon); err != nil {
		t.Errorf("Verify() without iss and aud = %v, want no error", err)
	}
	for _, name := range []string{"iss", "aud"} {
		if _, err := p.Verify(sign(t, k, map[string]any{"exp": noon.Unix() + 1, name: "x"}), only(k), noon); !errors.Is(err, ErrClaims) {
			t.Errorf("Verify() of a token with %s = %v, want %v", name, err, ErrClaims)
		}
	}
}

// S54, S55
func TestForms(t *testing.T) {
	k := generate(t, ES256)
	header := fmt.Sprintf(`{"alg":"ES256","typ":"at+jwt","kid":%q}`, k.ID())
	text, err := json.Marshal(good())
	if err != nil {
		t.Fatal(err)
	}
	payload := string(text)
	token := forge(t, k, header, payload)
	parts := strings.Split(token, ".")
	rest := strings.TrimPrefix(payload, "{")
	last := strings.IndexByte(alphabet, token[len(token)-1])
	for name, bad := range map[string]string{
		"nothing": "", "dots": "..", "one dot": parts[0] + "." + parts[1], "four parts": token + ".", "five parts (JWE)": "e30.a.b.c.d",
		"padding": token + "==", "padded header": parts[0] + "=." + parts[1] + "." + parts[2],
		"a line break": token[:10] + "\n" + token[10:], "a carriage return": token + "\r", "a space": " " + token,
		"the standard alphabet":  parts[0] + "." + parts[1] + "." + strings.Repeat("+/", 43),
		"a non-canonical end":    token[:len(token)-1] + alphabet[last^1:last^1+1],
		"a longer signature":     token + "AAAA",
		"a shorter signature":    token[:len(token)-4],
		"an empty signature":     parts[0] + "." + parts[1] + ".",
		"another payload":        parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(payload, "acc_1", "acc_2", 1))) + "." + parts[2],
		"a member twice":         forge(t, k, header, `{"sub":"acc_2",`+rest),
		"a member twice, inside": forge(t, k, header, `{"x":{"a":1,"a":2},`+rest),
		"twice by an escape":     forge(t, k, header, `{"s\u0075b":"acc_2",`+rest),
		"half a surrogate pair":  forge(t, k, header, `{"x":"\ud800",`+rest),
		"data behind":            forge(t, k, header, payload+"{}"),
		"no UTF-8":               forge(t, k, header, "{\"x\":\"\xff\","+rest),
		"a byte order mark":      forge(t, k, header, "\ufeff"+payload),
		"a comma too many":       forge(t, k, header, `{"x":[1,],`+rest),
		"a list":                 forge(t, k, header, `[`+payload+`]`),
		"too deep":               forge(t, k, header, `{"x":`+strings.Repeat("[", 20)+strings.Repeat("]", 20)+`,`+rest),
		"too large":              forge(t, k, header, `{"x":"`+strings.Repeat("x", MaxToken)+`",`+rest),
		"garbage, too large":     strings.Repeat("A.A", MaxToken),
	} {
		if got, err := AccessToken(issuer, audience).Verify(bad, only(k), noon); err == nil {
			t.Errorf("%s: Verify(%.200q) = %+v, want an error", name, bad, got)
		}
	}
	if _, err := AccessToken(issuer, audience).Verify(token, only(k), noon); err != nil {
		t.Errorf("Verify() of the token itself = %v, want no error", err)
	}
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// Every changed bit makes it another token, for every algorithm.
func TestChangedBits(t *testing.T) {
	for _, alg := range []Algorithm{ES256, EdDSA} {
		k := generate(t, alg)
		token := sign(t, k, good())
		for i := range len(token) {
			for bit := range 7 {
				changed := []byte(token)
				changed[i] ^= 1 << bit
				if _, err := AccessToken(issuer, audience).Verify(string(changed), only(k), noon); err == nil {
					t.Fatalf("%s: bit %d of character %d can be changed", alg, bit, i)
				}
			}
		}
	}
}

// S57
func TestWeakKeys(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	off := &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)} //nolint:staticcheck // by any other way there is no such key
	even := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2047), E: 2}
	es, ed, rs := generate(t, ES256), generate(t, EdDSA), generate(t, RS256)
	for name, c := range map[string]struct {
		alg Algorithm
		key crypto.PublicKey
	}{
		"RSA of 1024 bits": {RS256, &small.PublicKey}, "P-384": {ES256, &p384.PublicKey}, "a point off the curve": {ES256, off},
		"an even exponent": {RS256, even}, "no key": {ES256, nil}, "a short Ed25519 key": {EdDSA, ed25519.PublicKey{1, 2}},
		"ES256 by RSA": {ES256, rs.public}, "RS256 by a curve": {RS256, es.public}, "EdDSA by a curve": {EdDSA, es.public},
		"PS256 by Ed25519": {PS256, ed.public}, "HS256 by RSA": {HS256, rs.public}, "none": {"none", es.public},
	} {
		if k, err := NewPublicKey(c.alg, c.key); !errors.Is(err, ErrWeakKey) {
			t.Errorf("%s: NewPublicKey() = %v, %v, want %v", name, k, err, ErrWeakKey)
		}
	}
	for _, n := range []int{0, 1, 31} {
		if _, err := NewSecretKey("k", make([]byte, n)); !errors.Is(err, ErrWeakKey) {
			t.Errorf("NewSecretKey(%d bytes) = %v, want %v", n, err, ErrWeakKey)
		}
	}
	for _, alg := range []Algorithm{HS256, "none", "", "ES512"} {
		if _, err := Generate(alg); !errors.Is(err, ErrWeakKey) {
			t.Errorf("Generate(%q) = %v, want %v", alg, err, ErrWeakKey)
		}
	}
}

// S49, S76: what is printed or published has no private member.
func TestPrivatePartsStay(t *testing.T) {
	for _, alg := range []Algorithm{ES256, EdDSA, RS256, PS256} {
		k := generate(t, alg)
		der, err := k.Private()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParsePrivate(alg, der)
		if err != nil || again.ID() != k.ID() || !again.Signs() {
			t.Errorf("%s: ParsePrivate(Private()) = %v, %v, want %v", alg, again, err, k)
		}
		j, err := k.JWK(k.ID())
		if err != nil {
			t.Fatalf("%s: JWK() = %v", alg, err)
		}
		text, err := json.Marshal(j)
		if err != nil {
			t.Fatal(err)
		}
		var members map[string]any
		if err := json.Unmarshal(text, &members); err != nil {
			t.Fatal(err)
		}
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
			if _, there := members[private]; there {
				t.Errorf("%s: the JWK has the member %q", alg, private)
			}
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			if got := fmt.Sprintf(verb, k); got != k.String() {
				t.Errorf("%s: printed with %s it is %q, want %q", alg, verb, got, k.String())
			}
		}
	}
	secret, err := NewSecretKey("theirs", []byte(strings.Repeat("planted ", 4)))
	if err != nil {
		t.Fatal(err)
	}
	if j, err := secret.JWK("theirs"); err == nil {
		t.Errorf("JWK() of a shared secret = %+v, want an error", j)
	}
	if got := fmt.Sprintf("%+v %#v %x", secret, secret, secret); strings.Contains(got, "planted") || secret.PublicPEM() != "" {
		t.Errorf("a shared secret is printed as %q", got)
	}
}

func TestPEM(t *testing.T) {
	for _, alg := range []Algorithm{ES256, EdDSA, RS256} {
		k := generate(t, alg)
		got, err := ParsePEM("", []byte(k.PublicPEM()))
		if err != nil || got.ID() != k.ID() || got.Algorithm() != alg {
			t.Errorf("%s: ParsePEM(PublicPEM()) = %v, %v, want %v", alg, got, err, k)
		}
		der, err := k.Certificate("Latchkey", noon)
		if err != nil {
			t.Fatalf("%s: Certificate() = %v", alg, err)
		}
		if got, err = ParsePEM("", []byte(CertificatePEM(der))); err != nil || got.ID() != k.ID() {
			t.Errorf("%s: ParsePEM(certificate) = %v, %v, want %v", alg, got, err, k)
		}
		// As docker-registry takes a leaf from x5c: it leads to itself.
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AddCert(leaf)
		_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: noon.AddDate(50, 0, 0), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		if err != nil {
			t.Errorf("%s: the certificate does not lead to itself: %v", alg, err)
		}
	}
	k := generate(t, ES256)
	for name, bad := range map[string]string{
		"nothing": "", "no PEM": "planted", "two": k.PublicPEM() + k.PublicPEM(),
		"encrypted": "-----BEGIN ENCRYPTED PRIVATE KEY-----\ncGxhbnRlZA==\n-----END ENCRYPTED PRIVATE KEY-----\n",
		"garbage":   "-----BEGIN PRIVATE KEY-----\ncGxhbnRlZA==\n-----END PRIVATE KEY-----\n",
	} {
		if got, err := ParsePEM("", []byte(bad)); err == nil || strings.Contains(err.Error(), "planted") {
			t.Errorf("%s: ParsePEM() = %v, %v, want an error that repeats nothing", name, got, err)
		}
	}
}
