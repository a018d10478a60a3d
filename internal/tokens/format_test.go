package tokens

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/serverkey"
)

// newRing returns a ring of n new keys.
func newRing(t testing.TB, n int) *serverkey.Ring {
	t.Helper()
	var keys []*serverkey.Key
	for range n {
		k, err := serverkey.Generate()
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	r, err := serverkey.NewRing(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func made(class Class, form Form, r *serverkey.Ring) string {
	text, _ := generate(class, form, r.Current())
	return text.Reveal()
}

// known reports whether a ring could have made a text.
func known(text string, r *serverkey.Ring) bool { return len(digests(nil, text, r)) > 0 }

func TestGenerate(t *testing.T) {
	r := newRing(t, 1)
	for _, tt := range []struct {
		class  Class
		form   Form
		prefix string
		length int
		shown  int
	}{{Personal, Native, "lkp_", 42, 10}, {Robot, Native, "lkr_", 42, 10}, {Personal, Hex40, "", 40, 8}} {
		text, sum := generate(tt.class, tt.form, r.Current())
		got := text.Reveal()
		if len(got) != tt.length || !strings.HasPrefix(got, tt.prefix) || !Recognised(got) || LooksNative(got) != (tt.form == Native) {
			t.Errorf("generate(%q, %q) = %d characters beginning with %q", tt.class, tt.form, len(got), got[:4])
		}
		if ds := digests(nil, got, r); len(ds) != 1 || ds[0] != sum {
			t.Errorf("digests(generate(%q, %q)) = %x, want the one it was made with", tt.class, tt.form, ds)
		}
		if s := shown(text, tt.form); len(s) != tt.shown || !strings.HasPrefix(got, s) {
			t.Errorf("shown() = %q, want the first %d characters", s, tt.shown)
		}
	}
}

// S68: any change at any position of a native token makes it none. That needs
// no database: the checksum and the tag say so.
func TestChangedTokensAreRefused(t *testing.T) {
	r := newRing(t, 2)
	for _, class := range []Class{Personal, Robot} {
		for range 20 {
			text := made(class, Native, r)
			for i := range len(text) {
				refuse(t, "cut at the end", text[:i], r)
				refuse(t, "cut at the start", text[i+1:], r)
				refuse(t, "without a character", text[:i]+text[i+1:], r)
				for _, c := range alphabet + "_- \x00\xffé" {
					refuse(t, "with a character more", text[:i]+string(c)+text[i:], r)
					if string(c) != text[i:i+1] {
						refuse(t, "with another character", text[:i]+string(c)+text[i+1:], r)
					}
				}
				for bit := range 8 {
					flipped := []byte(text)
					flipped[i] ^= 1 << bit
					refuse(t, "with a flipped bit", string(flipped), r)
				}
				if i+1 < len(text) && text[i] != text[i+1] {
					refuse(t, "with two characters swapped", text[:i]+text[i+1:i+2]+text[i:i+1]+text[i+2:], r)
				}
			}
			refuse(t, "in upper case", strings.ToUpper(text), r)
			refuse(t, "in lower case", strings.ToLower(text), r)
			refuse(t, "twice", text+text, r)
			refuse(t, "with a line break", text+"\n", r)
		}
	}
}

func refuse(t *testing.T, how, text string, r *serverkey.Ring) {
	t.Helper()
	if known(text, r) {
		t.Fatalf("a token %s is still taken for one", how)
	}
}

// S68: hexadecimal tokens have no checksum, but one form only.
func TestHexForm(t *testing.T) {
	r := newRing(t, 3)
	text := made(Personal, Hex40, r)
	if got := len(digests(nil, text, r)); got != 3 {
		t.Errorf("a hexadecimal token has %d digests, want one for each of 3 keys", got)
	}
	for _, bad := range []string{text[1:], text + "0", strings.ToUpper(text[:39] + "a"), text[:39] + "g", text[:39] + " ", ""} {
		refuse(t, "of another form", bad, r)
	}
}

// The tag tells this server's tokens from those of others: somebody who knows
// the form and makes the checksum right gets no further.
func TestTagIsKeyed(t *testing.T) {
	ours, others := newRing(t, 1), newRing(t, 1)
	for range 1000 {
		if foreign := made(Personal, Native, others); known(foreign, ours) || !LooksNative(foreign) {
			t.Fatal("a token of another server is taken for one of ours")
		}
		forged := "lkp_" + randomBase62(randomLength+tagLength)
		sum := checksum(forged)
		if forged += string(sum[:]); known(forged, ours) {
			t.Fatal("a made-up token with a right checksum is taken for one of ours")
		}
	}
}

// A right checksum makes no token of what is not in the alphabet, nor of
// another prefix.
func TestLooksNative(t *testing.T) {
	with := func(body string) string {
		sum := checksum(body)
		return body + string(sum[:])
	}
	rest := strings.Repeat("0", randomLength+tagLength)
	for body, want := range map[string]bool{
		"lkp_" + rest: true, "lkz_" + rest: true, "lk__" + rest: false, "lkP_" + rest: false, "lk1_" + rest: false, "lkp-" + rest: false, "mkp_" + rest: false,
		"lkp_" + rest[1:] + "~": false, "lkp_" + rest[1:] + "-": false, "lkp_" + rest[1:] + "\x00": false, "lkp_" + rest[2:] + "é": false,
	} {
		if got := LooksNative(with(body)); got != want {
			t.Errorf("LooksNative(%q) = %v, want %v", with(body), got, want)
		}
	}
}

// Every key of a ring counts, and no other.
func TestTwoKeysInTheRing(t *testing.T) {
	both := newRing(t, 2)
	for i, k := range both.Keys() {
		alone, err := serverkey.NewRing(k)
		if err != nil {
			t.Fatal(err)
		}
		other, err := serverkey.NewRing(both.Keys()[1-i])
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			text := made(Personal, Native, alone)
			if !known(text, both) || known(text, other) {
				t.Fatalf("a token under key %d: known to both %v, to the other alone %v, want true, false", i, known(text, both), known(text, other))
			}
		}
	}
}

// The checksum is CRC-32 (IEEE) in six base62 digits, as GitHub has it. The
// vectors were computed by another implementation; the third is the published
// example of GitHub's own format, without its prefix.
func TestChecksumVectors(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "000000",
		"a":                              "4GEHKN",
		"zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ": "0mLq17",
		"123456789":                      "3jZRME",
		"lkp_" + strings.Repeat("0", 32): "2lwUGq",
		"lkr_" + strings.Repeat("z", 32): "2UYicc",
	} {
		if got := checksum(text); string(got[:]) != want {
			t.Errorf("checksum(%q) = %q, want %q", text, got, want)
		}
	}
}

// What a key makes of a token must never change, or all tokens are lost. The
// vectors were computed by another implementation of RFC 5869 and RFC 2104.
func TestTokenVectors(t *testing.T) {
	var zeroToThirtyOne []byte
	for i := range 32 {
		zeroToThirtyOne = append(zeroToThirtyOne, byte(i))
	}
	k, err := serverkey.NewKey("vector", zeroToThirtyOne)
	if err != nil {
		t.Fatal(err)
	}
	r, err := serverkey.NewRing(k)
	if err != nil {
		t.Fatal(err)
	}
	for text, digest := range map[string]string{
		"lkp_000000000000000000000000000" + "s1Pdu" + "2vuCcB": "2a6dd2ee605ea1bbc54ea891d9f9ead9f2d16851f559218aa289b4131284c1f0",
		"lkr_0123456789abcdefghijklmnopq" + "M0GLl" + "2E8Uc2": "14a3d9cd9e0a225b2e3129d23c17498452e12a65ce52dad1c8b8714cf2b60bdd",
	} {
		ds := digests(nil, text, r)
		if len(ds) != 1 || hexOf(ds[0]) != digest {
			t.Errorf("digests(%q) = %x, want %s", text, ds, digest)
		}
	}
}

func hexOf(d digest) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	for _, c := range d {
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&15])
	}
	return b.String()
}

// Each character is made of exactly as many bytes as every other, so that none
// is likelier: there is no modulo bias.
func TestBase62HasNoBias(t *testing.T) {
	var all []byte
	for i := range 256 {
		all = append(all, byte(i))
	}
	out := appendBase62(nil, all)
	for _, c := range []byte(alphabet) {
		if got := bytes.Count(out, []byte{c}); got != 4 {
			t.Errorf("%d byte values make the character %q, want 4", got, c)
		}
	}
	if len(out) != 4*62 {
		t.Errorf("of 256 byte values %d are used, want 248", len(out))
	}
}

// 160 bits and more: 27 characters of 62, all positions random, no repetition.
func TestRandomPart(t *testing.T) {
	seen := map[string]bool{}
	var at [randomLength]map[byte]bool
	for i := range at {
		at[i] = map[byte]bool{}
	}
	for range 5000 {
		part := randomBase62(randomLength)
		if len(part) != randomLength || seen[part] {
			t.Fatalf("randomBase62(%d) = %q, %v, want something new of that length", randomLength, part, seen[part])
		}
		seen[part] = true
		for i := range at {
			at[i][part[i]] = true
		}
	}
	for i := range at {
		if len(at[i]) != 62 { // missing one in 5000 has a chance of 1 in 10^33
			t.Errorf("at position %d stand %d characters, want all 62", i, len(at[i]))
		}
	}
}

func TestTokenIDs(t *testing.T) {
	seen := map[string]bool{}
	now := time.UnixMilli(1_800_000_000_000)
	earlier := newTokenID(now.Add(-time.Millisecond))
	for range 2000 {
		id := newTokenID(now)
		if len(id) != 30 || !strings.HasPrefix(id, "tok_") || seen[id] || id < earlier {
			t.Fatalf("newTokenID() = %q, %v, want 30 new characters that sort after %q", id, seen[id], earlier)
		}
		seen[id] = true
	}
}

// FuzzDigests gives any text to the parser of tokens: nothing is taken for a
// token that differs from what was made, and nothing panics.
func FuzzDigests(f *testing.F) {
	r := newRing(f, 2)
	good := []string{made(Personal, Native, r), made(Robot, Native, r)}
	f.Add("")
	f.Add("lkp_")
	f.Add("lkp_000000000000000000000000000s1Pdu2vuCcB")
	f.Add(strings.Repeat("0", 40))
	f.Add(strings.Repeat("F", 40))
	f.Add("ghp_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ")
	f.Add("lkp_" + strings.Repeat("\xff", 38))
	f.Fuzz(func(t *testing.T, text string) {
		ds := digests(nil, text, r)
		switch {
		case looksHex(text):
			if len(ds) != 2 || len(text) != 40 || strings.Trim(text, "0123456789abcdef") != "" {
				t.Errorf("digests(%q) has %d, want 2 of what is hexadecimal", text, len(ds))
			}
		case len(ds) > 0: // whoever finds this has broken HMAC-SHA-256, or the code is wrong
			t.Errorf("digests(%q) = %x of what was never made", text, ds)
		}
		// The text as damage: put over a good token it must not count.
		for _, g := range good {
			at := len(text) % len(g)
			damaged := g[:at] + text + g[min(len(g), at+len(text)):]
			if damaged != g && !looksHex(damaged) && known(damaged, r) {
				t.Errorf("a token damaged by %q at %d still counts", text, at)
			}
		}
	})
}
