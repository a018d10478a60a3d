package jose

import (
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/pgtest/proctest"
)

// decided are the vectors that Wycheproof leaves to the verifier, or means for
// one with other settings.
var decided = map[string]struct {
	good bool
	why  string
}{
	"rsa_signature_2048_sha256_test.json/8":   {false, "the hash has one encoding (RFC 8017 section 9.2), and signers of JWTs write that"},
	"rsa_pss_2048_sha256_mgf1_0_test.json/69": {true, "its salt has the 32 bytes of PS256; it is for verifiers that want none"},
}

// vector is one line of testdata/wycheproof/signatures.json.gz.
type vector struct {
	alg                     Algorithm
	name, comment           string // name is the file and the number in it
	key, message, signature []byte
	verdict                 string
}

func (v *vector) UnmarshalJSON(text []byte) error {
	var file, key, message, signature string
	var id int
	fields := []any{&v.alg, &file, &id, &v.comment, &key, &message, &signature, &v.verdict}
	if err := json.Unmarshal(text, &fields); err != nil {
		return err
	}
	v.name = fmt.Sprintf("%s/%d", file, id)
	var errs [3]error
	v.key, errs[0] = hex.DecodeString(key)
	v.message, errs[1] = hex.DecodeString(message)
	v.signature, errs[2] = hex.DecodeString(signature)
	return errors.Join(errs[:]...)
}

// Each vector of Wycheproof for our algorithms gets the verdict that it has to
// get (S59).
func TestWycheproofSignatures(t *testing.T) {
	file, err := os.Open("testdata/wycheproof/signatures.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	text, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[Algorithm][2]int{} // refused and accepted
	lines := json.NewDecoder(text)
	for {
		var v vector
		err := lines.Decode(&v)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		want := v.verdict == "valid"
		if d, ok := decided[v.name]; ok {
			want = d.good
		} else if v.verdict != "valid" && v.verdict != "invalid" {
			t.Fatalf("%s is %q and not decided here", v.name, v.verdict)
		}
		key, err := ParsePublic(v.alg, v.key)
		if err != nil {
			t.Fatalf("%s: ParsePublic() = %v", v.name, err)
		}
		if got := key.verify(v.message, v.signature); (got == nil) != want {
			t.Errorf("%s (%s): verify() = %v, want it to be accepted: %v", v.name, v.comment, got, want)
		}
		n := seen[v.alg]
		n[map[bool]int{false: 0, true: 1}[want]]++
		seen[v.alg] = n
	}
	want := map[Algorithm][2]int{ES256: {421, 173}, EdDSA: {63, 88}, RS256: {250, 9}, PS256: {147, 64}}
	for alg, n := range want {
		if seen[alg] != n {
			t.Errorf("%s: %v vectors to refuse and to accept, want %v", alg, seen[alg], n)
		}
	}
}

// wycheproof returns the folder of the vectors for whole tokens, which the
// module in testdata/wycheproof requires. The first call on a machine downloads
// it.
func wycheproof(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("the vectors for whole tokens are for the long form")
	}
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", "github.com/c2sp/wycheproof")
	cmd.Dir = "testdata/wycheproof"
	out, err := cmd.Output()
	var module struct{ Dir, Error string }
	if err = errors.Join(err, json.Unmarshal(out, &module)); err != nil || module.Dir == "" {
		proctest.Missing(t, fmt.Sprintf("the vectors of Wycheproof, which the go command downloads: %v %s", err, module.Error))
	}
	return filepath.Join(module.Dir, "testvectors_v1")
}

// exceptions are the vectors for whole tokens that get another verdict here,
// and why.
var exceptions = map[string]string{
	"json_web_signature_test.json/346": foreignAlgorithm,
	"json_web_signature_test.json/350": foreignAlgorithm,
	"json_web_signature_test.json/367": sameAsGood,
	"json_web_signature_test.json/370": sameAsGood,
	"json_web_signature_test.json/372": "a character outside of base64url is refused (S54), not skipped",
	"json_web_signature_test.json/373": "a character outside of base64url is refused (S54), not skipped",
	"json_web_crypto_test.json/48":     "its keys come as a set with private members, which nothing here reads",
	"json_web_crypto_test.json/50":     "there is no encryption here (S60)",
	"json_web_crypto_test.json/67":     "there is no encryption here (S60)",
	"json_web_key_test.json/2":         "its keys come as a set with private members, which nothing here reads",
}

const (
	foreignAlgorithm = "the key's algorithm is PS256 and the token's PS384"
	sameAsGood       = "what should be wrong with it got lost: it is a good token of the same file, byte for byte"
)

// tokenGroup is a group of the vectors for whole tokens.
type tokenGroup struct {
	Comment string           `json:"comment"`
	Public  *json.RawMessage `json:"public"`
	Private json.RawMessage  `json:"private"`
	Tests   []struct {
		ID      int             `json:"tcId"`
		Comment string          `json:"comment"`
		Token   json.RawMessage `json:"jws"`
		Result  string          `json:"result"`
	} `json:"tests"`
}

// Each vector of Wycheproof for whole tokens gets the verdict that it has to
// get, or is listed with the reason why not (S59).
func TestWycheproofTokens(t *testing.T) {
	folder := wycheproof(t)
	used := map[string]bool{}
	for _, name := range []string{"json_web_signature_test.json", "json_web_crypto_test.json", "json_web_key_test.json"} {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		var file struct {
			Groups []tokenGroup `json:"testGroups"`
		}
		if err := json.Unmarshal(text, &file); err != nil {
			t.Fatal(err)
		}
		for _, g := range file.Groups {
			g.run(t, name, used)
		}
	}
	for name, why := range exceptions {
		if !used[name] {
			t.Errorf("%s is no exception (%s)", name, why)
		}
	}
}

// run runs a group and notes the exceptions that it came upon.
func (g tokenGroup) run(t *testing.T, file string, used map[string]bool) {
	key, keyErr := g.key()
	for _, v := range g.Tests {
		var token string
		if json.Unmarshal(v.Token, &token) != nil {
			token = string(v.Token) // the JSON serialization, which is no token to us
		}
		err := keyErr
		if err == nil {
			err = open(token, func(string) *Key { return key })
		}
		name := fmt.Sprintf("%s/%d", file, v.ID)
		want := v.Result == "valid"
		if _, ok := exceptions[name]; ok {
			used[name], want = true, !want
		}
		if (err == nil) != want {
			t.Errorf("%s, %s (%s): got %v, want it to be accepted: %v", name, g.Comment, v.Comment, err, want)
		}
	}
}

// open verifies a token whose payload may be anything.
func open(token string, keys Keys) error {
	parts, err := split(token)
	if err != nil {
		return err
	}
	h, err := readHeader(parts.header)
	if err != nil {
		return err
	}
	key, err := named(h, keys)
	if err != nil {
		return err
	}
	return key.verify([]byte(token[:parts.signed]), parts.signature)
}

var curves = map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}

// key reads the key of a group as an administrator would hand it to us.
func (g tokenGroup) key() (*Key, error) {
	text := g.Private
	if g.Public != nil {
		text = *g.Public
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, err
	}
	if len(set.Keys) == 1 {
		text = set.Keys[0]
	}
	var j struct {
		JWK
		Secret     string   `json:"k"`
		Operations []string `json:"key_ops"`
	}
	if err := json.Unmarshal(text, &j); err != nil {
		return nil, err
	}
	if j.Use != "" && j.Use != "sig" || j.Operations != nil && !slices.Contains(j.Operations, "verify") {
		return nil, errors.New("the key is not for signatures")
	}
	bytes := func(s string) []byte {
		b, _ := base64.RawURLEncoding.DecodeString(s)
		return b
	}
	number := func(s string) *big.Int { return new(big.Int).SetBytes(bytes(s)) }
	var key *Key
	err := fmt.Errorf("no key of ours: %s %s %s", j.Type, j.Curve, j.Algorithm)
	switch alg := Algorithm(strings.Replace(j.Algorithm, "ES521", "ES512", 1)); { // as the vectors call it
	case j.Type == "oct":
		key, err = NewShared(alg, j.ID, bytes(j.Secret), false)
	case j.Type == "EC" && curves[j.Curve] != nil:
		key, err = NewPublicKey(alg, &ecdsa.PublicKey{Curve: curves[j.Curve], X: number(j.X), Y: number(j.Y)}) //nolint:staticcheck // as a careless reader of JWKs makes it
	case j.Type == "OKP" && j.Curve == "Ed25519":
		key, err = NewPublicKey(alg, ed25519.PublicKey(bytes(j.X)))
	case j.Type == "RSA":
		key, err = NewPublicKey(alg, &rsa.PublicKey{N: number(j.N), E: int(number(j.E).Int64())})
	}
	return key, err
}
