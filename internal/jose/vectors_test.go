package jose

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"math/big"
	"slices"
	"strings"
	"testing"
)

func unb64(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(strings.NewReplacer("\n", "", "\t", "").Replace(s))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// rfc7638 is the modulus of RFC 7638 section 3.1.
const rfc7638 = `0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs
	tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbI
	SD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw`

func TestThumbprint(t *testing.T) {
	k, err := NewPublicKey(RS256, &rsa.PublicKey{N: new(big.Int).SetBytes(unb64(t, rfc7638)), E: 65537})
	if err != nil {
		t.Fatal(err)
	}
	if want := "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"; k.ID() != want {
		t.Errorf("ID() = %s, want %s (RFC 7638 section 3.1)", k.ID(), want)
	}
	x := unb64(t, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
	if k, err = NewPublicKey(EdDSA, ed25519.PublicKey(x)); err != nil {
		t.Fatal(err)
	}
	if want := "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"; k.ID() != want {
		t.Errorf("ID() = %s, want %s (RFC 8037 appendix A.3)", k.ID(), want)
	}
}

// The id of libtrust, computed by its rule with another program.
func TestLibtrustID(t *testing.T) {
	k, err := NewPublicKey(EdDSA, ed25519.PublicKey(unb64(t, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")))
	if err != nil {
		t.Fatal(err)
	}
	if want := "A3R7:3D62:FG5W:BK2Z:KV66:MHW3:BLWN:WIYR:GS7D:BZ23:IVPY:4G3Z"; k.LibtrustID() != want {
		t.Errorf("LibtrustID() = %s, want %s", k.LibtrustID(), want)
	}
}

// Signatures of RFC 7515 and RFC 8037.
func TestSignaturesOfRFCs(t *testing.T) {
	secret, err := NewSecretKey("", unb64(t, "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"))
	if err != nil {
		t.Fatal(err)
	}
	point := slices.Concat([]byte{4}, unb64(t, "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"), unb64(t, "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"))
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := NewPublicKey(ES256, public)
	if err != nil {
		t.Fatal(err)
	}
	ed, err := NewPublicKey(EdDSA, ed25519.PublicKey(unb64(t, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")))
	if err != nil {
		t.Fatal(err)
	}
	const joe = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
	for name, c := range map[string]struct {
		key                *Key
		message, signature string
	}{
		"RFC 7515 A.1": {secret, "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." + joe, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
		"RFC 7515 A.3": {p256, "eyJhbGciOiJFUzI1NiJ9." + joe, "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"},
		"RFC 8037 A.4": {ed, "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc", "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"},
	} {
		signature := unb64(t, c.signature)
		if err := c.key.verify([]byte(c.message), signature); err != nil {
			t.Errorf("%s: verify() = %v, want no error", name, err)
		}
		if err := c.key.verify([]byte(c.message+"A"), signature); err == nil {
			t.Errorf("%s: verify() of another message = nil, want an error", name)
		}
	}
}
