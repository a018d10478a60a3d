package serverkey

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// newKey returns a key whose secret is made of its id.
func newKey(t testing.TB, id string) *Key {
	t.Helper()
	k, err := NewKey(id, bytes.Repeat([]byte(id), 32)[:32])
	if err != nil {
		t.Fatalf("NewKey(%q) = %v", id, err)
	}
	return k
}

func newRing(t testing.TB, ids ...string) *Ring {
	t.Helper()
	var keys []*Key
	for _, id := range ids {
		keys = append(keys, newKey(t, id))
	}
	r, err := NewRing(keys...)
	if err != nil {
		t.Fatalf("NewRing(%q) = %v", ids, err)
	}
	return r
}

// S73: there is no key without enough of a secret.
func TestNewKey(t *testing.T) {
	secret := make([]byte, 64)
	tests := []struct {
		id     string
		length int
		ok     bool
	}{
		{"a", 32, true},
		{strings.Repeat("a", 32), 64, true},
		{"", 32, false},
		{strings.Repeat("a", 33), 32, false},
		{"a", 31, false},
		{"a", 0, false},
	}
	for _, tt := range tests {
		k, err := NewKey(tt.id, secret[:tt.length])
		if (err == nil) != tt.ok || (k != nil) != tt.ok {
			t.Errorf("NewKey(%q, %d bytes) = %v, %v, want ok %v", tt.id, tt.length, k != nil, err, tt.ok)
		}
		if err == nil && k.ID() != tt.id {
			t.Errorf("ID() = %q, want %q", k.ID(), tt.id)
		}
	}
}

func TestGenerate(t *testing.T) {
	a, errA := Generate()
	b, errB := Generate()
	if err := errors.Join(errA, errB); err != nil {
		t.Fatalf("Generate() = %v", err)
	}
	if a.ID() == b.ID() || bytes.Equal(a.secret, b.secret) || len(a.secret) < 32 {
		t.Errorf("two generated keys: ids %s and %s, %d bytes, want different ones of 32 bytes", a.ID(), b.ID(), len(a.secret))
	}
}

func TestNewRing(t *testing.T) {
	if _, err := NewRing(); err == nil {
		t.Error("NewRing() = nil error, want one")
	}
	if _, err := NewRing(newKey(t, "a"), newKey(t, "b"), newKey(t, "a")); err == nil {
		t.Error("NewRing(a, b, a) = nil error, want one")
	}
	r := newRing(t, "new", "old")
	if got := r.Current().ID(); got != "new" {
		t.Errorf("Current().ID() = %q, want new", got)
	}
	if keys := r.Keys(); len(keys) != 2 || keys[0] != r.Current() || keys[1].ID() != "old" {
		t.Errorf("Keys() = %v, want new, old", keys)
	}
}

// The digest is HMAC-SHA-256 under a key that HKDF makes of the secret
// (RFC 2104, RFC 5869): what is stored stays valid for other versions.
func TestDigest(t *testing.T) {
	k := newKey(t, "a")
	macKey, err := hkdf.Key(sha256.New, k.secret, nil, "latchkey token digest", 32)
	if err != nil {
		t.Fatalf("hkdf.Key() = %v", err)
	}
	for _, text := range []string{"", "a", "lkp_x", "\x00", strings.Repeat("long", 1000), "a"} {
		mac := hmac.New(sha256.New, macKey)
		mac.Write([]byte(text))
		if got, want := k.Digest(text), [32]byte(mac.Sum(nil)); got != want {
			t.Errorf("Digest(%.10q) = %x, want %x", text, got, want)
		}
	}
	// Computed with another implementation of both RFCs.
	const want = "a43e29a5aaf298643f5863df8d1bf69705214865135ed7d8f2cdba5214a0f003"
	if got := k.Digest("a text"); hex.EncodeToString(got[:]) != want {
		t.Errorf("Digest(a text) = %x, want %s", got, want)
	}
	if other := newKey(t, "b"); other.Digest("a") == k.Digest("a") {
		t.Error("two keys have the same digest of a text")
	}
}

func TestDigestConcurrently(t *testing.T) {
	k := newKey(t, "a")
	var wg sync.WaitGroup
	for i := range 8 {
		text := fmt.Sprintf("text %d", i)
		want := k.Digest(text)
		wg.Go(func() {
			for range 500 {
				if got := k.Digest(text); got != want {
					t.Errorf("Digest(%s) = %x, want %x", text, got, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

// The check value tells keys apart, is the same every time, and is neither
// the secret nor one of the keys made of it.
func TestCheckValue(t *testing.T) {
	a, b := newKey(t, "a"), newKey(t, "b")
	if bytes.Equal(a.Check(), b.Check()) || len(a.Check()) != 16 {
		t.Errorf("Check() = %x and %x, want two values of 16 bytes", a.Check(), b.Check())
	}
	if again := newKey(t, "a"); !bytes.Equal(again.Check(), a.Check()) {
		t.Errorf("Check() of the same key = %x, then %x", a.Check(), again.Check())
	}
	renamed, err := NewKey("c", a.secret)
	if err != nil || !bytes.Equal(renamed.Check(), a.Check()) {
		t.Errorf("Check() of the same secret with another id = %x, %v, want %x", renamed.Check(), err, a.Check())
	}
	for _, purpose := range []string{"token digest", "seal"} {
		key, err := hkdf.Key(sha256.New, a.secret, nil, "latchkey "+purpose, 32)
		if err != nil || bytes.Contains(key, a.Check()) || bytes.Contains(a.secret, a.Check()) {
			t.Errorf("Check() = %x gives the key for %q away (%v)", a.Check(), purpose, err)
		}
	}
}

// S75
func TestSeal(t *testing.T) {
	r := newRing(t, "a")
	for _, plain := range []string{"", "x", strings.Repeat("long", 5000)} {
		sealed := r.Seal("cursor", []byte(plain))
		if got, err := r.Open("cursor", sealed); err != nil || string(got) != plain {
			t.Errorf("Open(Seal(%.10q)) = %.10q, %v", plain, got, err)
		}
		if again := r.Seal("cursor", []byte(plain)); bytes.Equal(again, sealed) {
			t.Errorf("Seal(%.10q) is the same twice, want another nonce each time", plain)
		}
	}
	if sealed := r.Seal("cursor", []byte("planted")); bytes.Contains(sealed, []byte("planted")) {
		t.Errorf("Seal() = %q shows its content", sealed)
	}
}

// S75: what was changed, cut, or sealed by others or for something else is not
// opened.
func TestOpenRefuses(t *testing.T) {
	r := newRing(t, "a")
	sealed := r.Seal("cursor", []byte("content"))
	refused := func(what, purpose string, sealed []byte) {
		t.Helper()
		if got, err := r.Open(purpose, sealed); !errors.Is(err, ErrOpen) || got != nil {
			t.Errorf("Open(%s) = %q, %v, want ErrOpen", what, got, err)
		}
	}
	refused("another purpose", "state", sealed)
	refused("no purpose", "", sealed)
	refused("another ring", "cursor", newRing(t, "b").Seal("cursor", []byte("content")))
	impostor, err := NewKey("a", bytes.Repeat([]byte("z"), 32))
	if err != nil {
		t.Fatalf("NewKey() = %v", err)
	}
	refused("another key of the same id", "cursor", (&Ring{keys: []*Key{impostor}}).Seal("cursor", []byte("content")))
	refused("more behind it", "cursor", append(bytes.Clone(sealed), 0))
	refused("nothing", "cursor", nil)
	refused("only an id", "cursor", []byte("\x01a"))
	refused("no id", "cursor", []byte("\x00content of nobody that is long enough"))
	refused("an id that is longer than all", "cursor", []byte("\xffa"))
	refused("the longest id", "cursor", bytes.Repeat([]byte{0xff}, 300)) // 1+255 once was 0
	for i := range sealed {
		refused(fmt.Sprintf("cut at %d", i), "cursor", sealed[:i])
		for bit := range 8 {
			changed := bytes.Clone(sealed)
			changed[i] ^= 1 << bit
			refused(fmt.Sprintf("bit %d of byte %d", bit, i), "cursor", changed)
		}
	}
}

// S70: a new key in front seals; what the older one sealed is still opened,
// until that is taken away.
func TestRotation(t *testing.T) {
	before := newRing(t, "old")
	sealed := before.Seal("cursor", []byte("content"))
	both := newRing(t, "new", "old")
	if got, err := both.Open("cursor", sealed); err != nil || string(got) != "content" {
		t.Errorf("Open() after rotation = %q, %v, want content", got, err)
	}
	fresh := both.Seal("cursor", []byte("content"))
	if _, err := before.Open("cursor", fresh); !errors.Is(err, ErrOpen) {
		t.Errorf("Open() with the old key alone = %v, want ErrOpen", err)
	}
	after := newRing(t, "new")
	if got, err := after.Open("cursor", fresh); err != nil || string(got) != "content" {
		t.Errorf("Open() with the new key alone = %q, %v, want content", got, err)
	}
	if _, err := after.Open("cursor", sealed); !errors.Is(err, ErrOpen) {
		t.Errorf("Open() of the old key's = %v, want ErrOpen", err)
	}
}

// S70: what has to be sealed anew, so that an old key can go.
func TestOutdated(t *testing.T) {
	ring := newRing(t, "new", "n", "old")
	for _, c := range []struct {
		sealed []byte
		want   bool
	}{
		{ring.Seal("p", []byte("x")), false}, {newRing(t, "old").Seal("p", nil), true},
		{newRing(t, "n").Seal("p", nil), true}, {newRing(t, "newer").Seal("p", nil), true}, {nil, true}, {[]byte{3, 'n'}, true},
	} {
		if got := ring.Outdated(c.sealed); got != c.want {
			t.Errorf("Outdated(%q) = %v, want %v", c.sealed, got, c.want)
		}
	}
}

// S54, S75
func TestSealText(t *testing.T) {
	r := newRing(t, "a")
	text := r.SealText("cursor", []byte("content"))
	if strings.ContainsFunc(text, func(c rune) bool {
		return !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", c)
	}) {
		t.Errorf("SealText() = %q, want what fits into a URL", text)
	}
	if got, err := r.OpenText("cursor", text); err != nil || string(got) != "content" {
		t.Errorf("OpenText() = %q, %v, want content", got, err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatalf("DecodeString(%q) = %v", text, err)
	}
	last := strings.IndexByte(base64Alphabet, text[len(text)-1])
	for name, bad := range map[string]string{
		"empty": "", "padded": text + "=", "more": text + "AAAA", "cut": text[:len(text)-1], "space": " " + text,
		"line break": text[:4] + "\n" + text[4:], "standard alphabet": base64.StdEncoding.EncodeToString(raw),
		"another last character for the same bytes": text[:len(text)-1] + base64Alphabet[last^1:last^1+1],
	} {
		if bad == text {
			t.Fatalf("%s changes nothing", name)
		}
		if got, err := r.OpenText("cursor", bad); !errors.Is(err, ErrOpen) || got != nil {
			t.Errorf("OpenText(%s) = %q, %v, want ErrOpen", name, got, err)
		}
	}
}

const base64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// sealedBefore is "content", sealed by the key "a" of newKey for "cursor": what
// was sealed once can always be opened.
const sealedBefore = "0161296910e103b7c9cf30fa038d2d981b73466cc1aca3538b53a3050da7da1726343987ab"

// FuzzOpen checks that nothing makes Open panic, and that it opens nothing that
// Seal did not make.
func FuzzOpen(f *testing.F) {
	r := newRing(f, "a", "b")
	genuine, err := hex.DecodeString(sealedBefore)
	if err != nil {
		f.Fatalf("DecodeString() = %v", err)
	}
	if got, err := r.Open("cursor", genuine); err != nil || string(got) != "content" {
		f.Fatalf("Open(sealedBefore) = %q, %v, want content", got, err)
	}
	for _, seed := range [][]byte{nil, {0}, {1, 'a'}, {1, 'b', 0}, {255}, bytes.Repeat([]byte{255}, 300), genuine[:20], genuine} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sealed []byte) {
		if got, err := r.Open("cursor", sealed); err == nil && !bytes.Equal(sealed, genuine) {
			t.Errorf("Open(%x) = %q, want ErrOpen", sealed, got)
		}
	})
}
