package jose

import (
	"crypto/ecdsa"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
)

// target is a verifier under attack, with one good token of it.
type target struct {
	key                *Key
	header, payload    string // as JSON
	token              string
	first, second, sig string // the token's parts
}

func newTarget(t testing.TB, alg Algorithm) *target {
	t.Helper()
	k := generate(t, alg)
	payload, err := json.Marshal(good())
	if err != nil {
		t.Fatal(err)
	}
	g := &target{key: k, header: fmt.Sprintf(`{"alg":%q,"typ":"at+jwt","kid":%q}`, alg, k.ID()), payload: string(payload)}
	g.token = forge(t, k, g.header, g.payload)
	parts := strings.Split(g.token, ".")
	g.first, g.second, g.sig = parts[0], parts[1], parts[2]
	if err := g.verify(g.token); err != nil {
		t.Fatalf("%s: Verify() of the good token = %v", alg, err)
	}
	return g
}

func (g *target) verify(token string) error {
	_, err := AccessToken(issuer, audience).Verify(token, only(g.key), noon)
	return err
}

// refuses verifies each attack, and says which of them was let in.
func (g *target) refuses(t *testing.T, attacks map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(attacks)) {
		if g.verify(attacks[name]) == nil {
			t.Errorf("%s, %s: Verify(%.200q) = nil, want an error", g.key.alg, name, attacks[name])
		}
	}
}

func b64(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// with adds members to a JSON object.
func with(object, members string) string { return `{` + members + `,` + object[1:] }

// S50: no spelling of "none", and no secret that an attacker can know.
func TestAttackedByAlgorithm(t *testing.T) {
	for _, alg := range []Algorithm{ES256, EdDSA, RS256, PS256} {
		g := newTarget(t, alg)
		attacks := map[string]string{}
		for _, none := range []string{"none", "None", "NONE", "nOnE", "none ", " none", "none\x00", "", "null"} {
			header := b64(fmt.Sprintf(`{"alg":%q,"typ":"at+jwt","kid":%q}`, none, g.key.ID()))
			attacks[fmt.Sprintf("%q without a signature", none)] = header + "." + g.second + "."
			attacks[fmt.Sprintf("%q with the signature of another", none)] = header + "." + g.second + "." + g.sig
			attacks[fmt.Sprintf("%q without a third part", none)] = header + "." + g.second
		}
		for name, value := range map[string]string{"null": "null", "false": "false", "0": "0", "list": `["` + string(alg) + `"]`, "object": `{}`} {
			attacks["an algorithm that is "+name] = b64(fmt.Sprintf(`{"alg":%s,"typ":"at+jwt","kid":%q}`, value, g.key.ID())) + "." + g.second + "."
		}
		jwk, err := g.key.JWK(g.key.ID())
		if err != nil {
			t.Fatal(err)
		}
		published, err := json.Marshal(jwk)
		if err != nil {
			t.Fatal(err)
		}
		set, err := json.Marshal(JWKS{Keys: []JWK{jwk}})
		if err != nil {
			t.Fatal(err)
		}
		pem := g.key.PublicPEM()
		for name, secret := range map[string]string{
			"PEM": pem, "PEM without its line break": strings.TrimSpace(pem), "PEM with other line breaks": strings.ReplaceAll(pem, "\n", "\r\n"),
			"PEM in one line": strings.ReplaceAll(pem, "\n", ""), "DER": string(g.key.Public()), "DER in base64": base64.StdEncoding.EncodeToString(g.key.Public()),
			"JWK": string(published), "JWKS": string(set), "x": jwk.X, "y": jwk.Y, "n": jwk.N, "the id": g.key.ID(), "nothing": "",
		} {
			confused := &Key{alg: HS256, secret: []byte(secret)}
			for _, mac := range []string{"HS256", string(alg)} {
				attacks["an HMAC by the key's "+name+", called "+mac] = forge(t, confused, fmt.Sprintf(`{"alg":%q,"typ":"at+jwt","kid":%q}`, mac, g.key.ID()), g.payload)
			}
		}
		g.refuses(t, attacks)
	}
}

// S51: what a header says of keys is not listened to, whether or not the key
// id is that of a real key.
func TestAttackedByKeysInTheHeader(t *testing.T) {
	for _, alg := range []Algorithm{ES256, EdDSA} {
		g, attacker := newTarget(t, alg), generate(t, alg)
		jwk, err := attacker.JWK(g.key.ID())
		if err != nil {
			t.Fatal(err)
		}
		embedded, err := json.Marshal(jwk)
		if err != nil {
			t.Fatal(err)
		}
		der, err := attacker.Certificate("attacker", noon)
		if err != nil {
			t.Fatal(err)
		}
		certificate := base64.StdEncoding.EncodeToString(der)
		attacks := map[string]string{}
		for name, member := range map[string]string{
			"jwk": `"jwk":` + string(embedded), "jwks": `"jwks":{"keys":[` + string(embedded) + `]}`, "jku": `"jku":"https://attacker.example/jwks.json"`,
			"jku into a file": `"jku":"file:///etc/passwd"`, "x5u": `"x5u":"https://attacker.example/chain.pem"`,
			"x5c": `"x5c":["` + certificate + `"]`, "x5t": `"x5t":"AAAA","x5t#S256":"AAAA"`,
		} {
			for where, header := range map[string]string{
				"the real id": g.header, "no id": fmt.Sprintf(`{"alg":%q,"typ":"at+jwt"}`, alg),
				"its own id":    fmt.Sprintf(`{"alg":%q,"typ":"at+jwt","kid":%q}`, alg, attacker.ID()),
				"a path":        fmt.Sprintf(`{"alg":%q,"typ":"at+jwt","kid":"../../../../dev/null"}`, alg),
				"a query":       fmt.Sprintf(`{"alg":%q,"typ":"at+jwt","kid":"x' UNION SELECT 'AAAA'; --"}`, alg),
				"an address":    fmt.Sprintf(`{"alg":%q,"typ":"at+jwt","kid":"https://attacker.example/key"}`, alg),
				"a zero byte":   fmt.Sprintf(`{"alg":%q,"typ":"at+jwt","kid":"%s\u0000"}`, alg, g.key.ID()),
				"half an id":    fmt.Sprintf(`{"alg":%q,"typ":"at+jwt","kid":%q}`, alg, g.key.ID()[:10]),
				"the id, twice": fmt.Sprintf(`{"alg":%q,"typ":"at+jwt","kid":%q,"kid":%q}`, alg, attacker.ID(), g.key.ID()),
			} {
				attacks[name+" with "+where] = forge(t, attacker, with(header, member), g.payload)
			}
		}
		g.refuses(t, attacks)
		for name, header := range map[string]string{
			"crit of what is there": with(g.header, `"crit":["kid"]`), "crit of what is not": with(g.header, `"crit":["exp"],"exp":1`),
			"crit of nothing": with(g.header, `"crit":[]`), "crit that is null": with(g.header, `"crit":null`), "crit by an escape": with(g.header, `"cr\u0069t":["x"]`),
			"zip": with(g.header, `"zip":"DEF"`), "b64": with(g.header, `"b64":false,"crit":["b64"]`), "enc": with(strings.Replace(g.header, string(alg), "dir", 1), `"enc":"A128GCM"`),
		} {
			if g.verify(forge(t, g.key, header, g.payload)) == nil {
				t.Errorf("%s: Verify() with %s in the header = nil, want an error, though the key has signed it", alg, name)
			}
		}
	}
}

// S54: a member twice has no meaning, whatever its spelling; what the key has
// signed is refused then.
func TestAttackedByMembersTwice(t *testing.T) {
	g := newTarget(t, EdDSA)
	attacks := map[string]string{}
	for name, member := range map[string]string{
		"sub": `"sub":"acc_2"`, "the same sub": `"sub":"acc_1"`, "by an escape": `"\u0073ub":"acc_2"`, "by escapes alone": `"\u0073\u0075\u0062":"acc_2"`,
		"exp": `"exp":9007199254740992`, "exp by an escape": `"ex\u0070":9007199254740992`, "iss": `"iss":"https://attacker.example"`,
		"inside": `"act":{"sub":"a","sub":"b"}`, "deep inside": `"a":[{"b":[{"c":1,"\u0063":2}]}]`, "with an empty name": `"":1,"":2`,
	} {
		attacks["in the payload, "+name] = forge(t, g.key, g.header, with(g.payload, member))
	}
	for name, member := range map[string]string{
		"alg": `"alg":"none"`, "alg by an escape": `"\u0061lg":"none"`, "typ": `"typ":"JWT"`, "typ by an escape": `"t\u0079p":"JWT"`, "kid": `"kid":"other"`,
		"another": `"x":1,"x":1`, "inside": `"jwk":{"kty":"EC","kty":"oct"}`,
	} {
		attacks["in the header, "+name] = forge(t, g.key, with(g.header, member), g.payload)
	}
	g.refuses(t, attacks)
}

// S54, S55: a token has one spelling.
func TestAttackedBySpelling(t *testing.T) {
	g := newTarget(t, ES256)
	attacks := map[string]string{
		"padding behind": g.token + "=", "more padding": g.token + "==", "padding in the payload": g.first + "." + g.second + "==." + g.sig,
		"the payload in base64": g.first + "." + base64.StdEncoding.EncodeToString([]byte(g.payload)) + "." + g.sig,
		"data behind":           g.token + "AAAA", "a dot behind": g.token + ".", "a dot before": "." + g.token, "a part more": g.token + ".e30",
		"in quotes": `"` + g.token + `"`, "with the scheme": "Bearer " + g.token, "twice": g.token + "," + g.token, "percent-encoded": strings.ReplaceAll(g.token, ".", "%2E"),
		"JSON, flattened": fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, g.first, g.second, g.sig),
		"JSON, general": fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"signature":%q},{"header":{"alg":"none"},"signature":""}]}`,
			g.second, g.first, g.sig),
		"JSON with dots":         fmt.Sprintf(`{"protected":%q,"x":"..","payload":%q,"signature":%q}`, g.first, g.second, g.sig),
		"a JWE":                  b64(`{"alg":"RSA-OAEP","enc":"A256GCM"}`) + ".AAAA.AAAA.AAAA.AAAA",
		"a JWE by a shared key":  b64(`{"alg":"dir","enc":"A128CBC-HS256"}`) + "..AAAA.AAAA.AAAA",
		"a JWE of three parts":   b64(`{"alg":"dir","enc":"A128GCM","typ":"at+jwt","kid":"`+g.key.ID()+`"}`) + ".AAAA.AAAA",
		"a token within a token": forge(t, g.key, with(g.header, `"cty":"JWT"`), `"`+g.token+`"`),
		"a detached payload":     g.first + ".." + g.sig, "nothing signed": ".." + g.sig, "two dots": "..", "a long run of dots": strings.Repeat(".", 1<<20),
	}
	for _, space := range []string{" ", "\t", "\n", "\r", "\r\n", "\v", "\f", "\u00a0", "\u2028", "\ufeff", "\x00", "?", "%", "-", "A"} {
		for _, at := range []int{0, 1, len(g.first), len(g.first) + 1, len(g.first) + 1 + len(g.second), len(g.token) - 1, len(g.token)} {
			attacks[fmt.Sprintf("%q at %d", space, at)] = g.token[:at] + space + g.token[at:]
		}
	}
	for i, part := range []string{g.first, g.second, g.sig} {
		if len(part)%4 == 0 {
			continue // has no bits left over
		}
		for bits := range 1 << (2 * (4 - len(part)%4)) {
			last := strings.IndexByte(alphabet, part[len(part)-1])
			if bits == last&(1<<(2*(4-len(part)%4))-1) {
				continue
			}
			changed := part[:len(part)-1] + string(alphabet[last&^(1<<(2*(4-len(part)%4))-1)|bits])
			parts := []string{g.first, g.second, g.sig}
			parts[i] = changed
			attacks[fmt.Sprintf("bits %b at the end of part %d", bits, i)] = strings.Join(parts, ".")
		}
	}
	g.refuses(t, attacks)
}

// Signatures of ES256 have one form (RFC 7518 section 3.4), and none of the
// numbers in them can be zero or as large as the curve's order.
func TestAttackedBySignature(t *testing.T) {
	g := newTarget(t, ES256)
	raw, err := base64.RawURLEncoding.DecodeString(g.sig)
	if err != nil {
		t.Fatal(err)
	}
	r, s := new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])
	order := g.key.public.(*ecdsa.PublicKey).Params().N
	der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	if err != nil {
		t.Fatal(err)
	}
	whole := func(r, s *big.Int) []byte {
		return slices.Concat(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32)))
	}
	zero, one := new(big.Int), big.NewInt(1)
	attacks := map[string]string{}
	for name, signature := range map[string][]byte{
		"zeros": make([]byte, 64), "r is 0": whole(zero, s), "s is 0": whole(r, zero), "r is 1": whole(one, s), "s is 1": whole(r, one), "ones": whole(one, one),
		"the order": whole(order, order), "r is the order": whole(order, s), "s is the order": whole(r, order), "the other way round": whole(s, r),
		"DER": der, "with zeros before": slices.Concat(make([]byte, 2), raw), "each with a zero before": slices.Concat([]byte{0}, raw[:32], []byte{0}, raw[32:]),
		"half": raw[:32], "twice": slices.Concat(raw, raw), "nothing": nil, "one byte": {0}, "a byte less": raw[:63], "a byte more": append(slices.Clone(raw), 0),
		"beyond the order": slices.Concat(slices.Repeat([]byte{0xff}, 64)),
	} {
		attacks[name] = g.first + "." + g.second + "." + base64.RawURLEncoding.EncodeToString(signature)
	}
	g.refuses(t, attacks)
}

// S53: dates that parsers do not agree on are refused, in what the key has
// signed too.
func TestAttackedByDates(t *testing.T) {
	g := newTarget(t, EdDSA)
	attacks := map[string]string{}
	for _, claim := range []string{"exp", "nbf", "iat"} {
		for _, date := range []string{
			"-1", "-0", "0.5", "1e3", "1E3", "1e400", "-1e400", "1e-400", "9007199254740993", "9223372036854775807", "9223372036854775808", "18446744073709551615",
			"18446744073709551616", "1" + strings.Repeat("0", 400), fmt.Sprintf("%d.0", noon.Unix()), fmt.Sprintf("%d.9", noon.Unix()), fmt.Sprintf("%de0", noon.Unix()),
			fmt.Sprintf("%d000", noon.Unix()*1_000_000), fmt.Sprintf("%q", fmt.Sprint(noon.Unix()+60)), `""`, `"2099-01-01T00:00:00Z"`, `"Infinity"`, "null", "true", "[]", "{}",
			fmt.Sprintf("[%d]", noon.Unix()+60),
		} {
			claims := good()
			claims[claim] = json.RawMessage(date)
			text, err := json.Marshal(claims)
			if err != nil {
				t.Fatal(err)
			}
			attacks[claim+" "+date] = forge(t, g.key, g.header, string(text))
		}
		for _, date := range []string{"NaN", "Infinity", "01", "+1", "0x10", "1_000", "1."} { // no JSON
			attacks[claim+" "+date] = forge(t, g.key, g.header, with(strings.Replace(g.payload, `"`+claim+`"`, `"other"`, 1), `"`+claim+`":`+date))
		}
	}
	g.refuses(t, attacks)
}

// S55: what is too large or too deep is refused, before anything is decoded
// where that can be seen.
func TestAttackedBySize(t *testing.T) {
	g := newTarget(t, EdDSA)
	attacks := map[string]string{
		"a huge payload": forge(t, g.key, g.header, with(g.payload, `"x":"`+strings.Repeat("x", 1<<20)+`"`)),
		"a huge header":  forge(t, g.key, with(g.header, `"x":"`+strings.Repeat("x", 1<<20)+`"`), g.payload),
		"a huge id":      forge(t, g.key, strings.Replace(g.header, g.key.ID(), strings.Repeat("k", 1<<20), 1), g.payload),
		"a huge end":     g.token + strings.Repeat("A", 1<<20),
	}
	for _, deep := range []int{17, 100, 2000} {
		for name, nest := range map[string][2]string{"lists": {"[", "]"}, "objects": {`{"a":`, "}"}} {
			inner := strings.Repeat(nest[0], deep) + "1" + strings.Repeat(nest[1], deep)
			attacks[fmt.Sprintf("%d %s in the payload", deep, name)] = forge(t, g.key, g.header, with(g.payload, `"x":`+inner))
			attacks[fmt.Sprintf("%d %s in the header", deep, name)] = forge(t, g.key, with(g.header, `"x":`+inner), g.payload)
			attacks[fmt.Sprintf("%d %s, not closed", deep, name)] = forge(t, g.key, g.header, with(g.payload, `"x":`+strings.Repeat(nest[0], deep)))
		}
	}
	g.refuses(t, attacks)

	// To refuse a megabyte costs no more than a few small allocations.
	huge := strings.Repeat("A", 1<<20)
	for _, token := range []string{huge, huge + "." + huge + "." + huge, strings.Repeat(".", 1<<20)} {
		if n := testing.AllocsPerRun(100, func() { _ = g.verify(token) }); n > 8 {
			t.Errorf("to refuse %d bytes takes %v allocations, want 8 at most", len(token), n)
		}
	}
}

// S52: a token of one kind is refused where another is wanted, in any spelling
// of its type.
func TestAttackedByKind(t *testing.T) {
	g := newTarget(t, EdDSA)
	attacks := map[string]string{"no kind": forge(t, g.key, strings.Replace(g.header, `"typ":"at+jwt",`, "", 1), g.payload)}
	for _, kind := range []string{
		`"JWT"`, `"jwt"`, `"refresh+jwt"`, `"rt+jwt"`, `"latchkey-assertion+jwt"`, `"dpop+jwt"`, `"logout+jwt"`, `"secevent+jwt"`, `"JOSE"`, `"JOSE+JSON"`, `""`, `"at+jwt "`, `"at+jwt\u0000"`,
		`"at+jwt;x=1"`, `"application/application/at+jwt"`, `"text/at+jwt"`, `"аt+jwt"`, `null`, `["at+jwt"]`, `{"at+jwt":true}`, `true`,
	} {
		attacks[kind] = forge(t, g.key, strings.Replace(g.header, `"at+jwt"`, kind, 1), g.payload)
	}
	g.refuses(t, attacks)
}

// Keys of the generator of CVE-2017-15361 are refused; others are not (S57).
func TestFactorableKeys(t *testing.T) {
	product := big.NewInt(1)
	for p := int64(2); p <= 701; p++ {
		if big.NewInt(p).ProbablyPrime(10) {
			product.Mul(product, big.NewInt(p))
		}
	}
	n := new(big.Int).Exp(big.NewInt(65537), big.NewInt(123456789), product)
	n.Add(n, new(big.Int).Mul(product, new(big.Int).Lsh(big.NewInt(1), uint(2047-product.BitLen()))))
	for n.BitLen() < 2048 {
		n.Add(n, new(big.Int).Mul(product, new(big.Int).Lsh(big.NewInt(1), uint(2046-product.BitLen()))))
	}
	if !roca(n) {
		t.Error("roca() of a modulus of that form = false, want true")
	}
	for range 200 {
		n.Add(n, big.NewInt(2))
		if roca(n) {
			t.Errorf("roca(%d) = true, want false", n)
		}
	}
	if k := generate(t, RS256); k == nil {
		t.Error("an ordinary key is refused")
	}
}
