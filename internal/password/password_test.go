package password

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// quick has the lowest cost that Argon2 allows, for tests that are not about
// the cost.
func quick(t testing.TB, opts Options) *Pool {
	t.Helper()
	if opts.Memory == 0 {
		opts.Memory, opts.Passes = 8, 1
	}
	p, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestHashAndVerify(t *testing.T) {
	p, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	first, err := p.Hash(t.Context(), "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	if want := "$argon2id$v=19$m=19456,t=2,p=1$"; !strings.HasPrefix(first, want) {
		t.Errorf("Hash = %q, want the prefix %q", first, want)
	}
	second, err := p.Hash(t.Context(), "correct horse battery")
	if err != nil || second == first {
		t.Errorf("Hash of the same password again = %q, %v; want another salt than %q", second, err, first)
	}
	for _, tc := range []struct {
		password string
		want     Result
	}{
		{"correct horse battery", Result{OK: true}},
		{"correct horse batterz", Result{}},
		{"correct horse battery ", Result{}},
		{"", Result{}},
	} {
		got, err := p.Verify(t.Context(), first, tc.password)
		if err != nil || got != tc.want {
			t.Errorf("Verify(%q) = %+v, %v; want %+v", tc.password, got, err, tc.want)
		}
	}
}

// S101: any characters, no truncation.
func TestEveryByteCounts(t *testing.T) {
	p := quick(t, Options{})
	long := strings.Repeat("a", MaxLength)
	for _, tc := range []struct{ password, other string }{
		{long, long[1:] + "b"},
		{long, long[1:]},
		{strings.Repeat("x", 72) + "y", strings.Repeat("x", 72) + "z"},
		{"nul\x00one", "nul\x00two"},
		{"пароль-密码-🔑", "пароль-密码-🗝"},
		{"\xff\xfe\xfd\xfc binary", "\xff\xfe\xfd\xfb binary"},
		{" spaces count ", "spaces count"},
	} {
		encoded, err := p.Hash(t.Context(), tc.password)
		if err != nil {
			t.Fatalf("Hash(%.20q) = %v", tc.password, err)
		}
		if got, err := p.Verify(t.Context(), encoded, tc.password); err != nil || !got.OK {
			t.Errorf("Verify(%.20q) = %+v, %v; want OK", tc.password, got, err)
		}
		if got, err := p.Verify(t.Context(), encoded, tc.other); err != nil || got.OK {
			t.Errorf("Verify(%.20q) against the hash of %.20q = %+v, %v; want no match", tc.other, tc.password, got, err)
		}
	}
}

func TestHashRefuses(t *testing.T) {
	p := quick(t, Options{})
	for password, want := range map[string]error{
		"":                                 ErrTooShort,
		strings.Repeat("a", MaxLength+1):   ErrTooLong,
		strings.Repeat("a", 100*MaxLength): ErrTooLong,
	} {
		if got, err := p.Hash(t.Context(), password); got != "" || !errors.Is(err, want) {
			t.Errorf("Hash(%d bytes) = %q, %v; want %v", len(password), got, err, want)
		}
	}
}

// A password beyond the limit must not match the hash of its beginning, and
// S71: an empty one must not match the hash of nothing, should there be one.
func TestVerifyNeverMatches(t *testing.T) {
	p := quick(t, Options{})
	h := p.own
	h.salt = random(saltLength)
	for _, tc := range []struct{ hashed, offered string }{
		{"", ""},
		{strings.Repeat("a", MaxLength), strings.Repeat("a", MaxLength+1)},
	} {
		h.digest = h.derive([]byte(tc.hashed), digestLength)
		if got, err := p.Verify(t.Context(), h.String(), tc.offered); err != nil || got.OK {
			t.Errorf("Verify(%d bytes) against the hash of %d bytes = %+v, %v; want no match", len(tc.offered), len(tc.hashed), got, err)
		}
	}
}

func TestRehash(t *testing.T) {
	now := quick(t, Options{Memory: 16, Passes: 2})
	made := func(opts Options) string {
		encoded, err := quick(t, opts).Hash(t.Context(), "correct horse battery")
		if err != nil {
			t.Fatal(err)
		}
		return encoded
	}
	for name, tc := range map[string]struct {
		encoded string
		want    bool
	}{
		"same parameters":     {made(Options{Memory: 16, Passes: 2}), false},
		"less memory":         {made(Options{Memory: 8, Passes: 2}), true},
		"more memory":         {made(Options{Memory: 32, Passes: 2}), true},
		"other passes":        {made(Options{Memory: 16, Passes: 1}), true},
		"Django's prefix":     {"argon2" + made(Options{Memory: 16, Passes: 2}), true},
		"another algorithm":   {vectors["pbkdf2_sha256"], true},
		"bcrypt of anybody's": {strings.TrimPrefix(vectors["bcrypt"], "bcrypt$"), true},
	} {
		got, err := now.Verify(t.Context(), tc.encoded, "correct horse battery")
		if want := (Result{OK: true, Rehash: tc.want}); err != nil || got != want {
			t.Errorf("%s: Verify = %+v, %v; want %+v", name, got, err, want)
		}
		got, err = now.Verify(t.Context(), tc.encoded, "wrong")
		if err != nil || got != (Result{}) {
			t.Errorf("%s: Verify of a wrong password = %+v, %v; want nothing", name, got, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for name, opts := range map[string]Options{
		"memory below 8 KiB a thread": {Memory: 8, Threads: 2},
		"memory above the limit":      {Memory: 300 << 10},
		"memory above the budget":     {Budget: 1 << 20},
		"work above the limit":        {Memory: 256 << 10, Passes: 5},
		"too many threads":            {Memory: 1 << 16, Threads: 65},
		"negative parallel":           {Parallel: -1},
	} {
		if _, err := New(opts); err == nil {
			t.Errorf("%s: New(%+v) = nil, want an error", name, opts)
		}
	}
}

// S72, S100: what is spent on an unknown name is what a real row costs.
func TestDummyIsOfTheSameKind(t *testing.T) {
	p := quick(t, Options{})
	own, err := p.Hash(t.Context(), "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	ownKind, err := p.Kind(own)
	if err != nil {
		t.Fatal(err)
	}
	likes := map[string]string{own: ownKind, "": ownKind, "!unusable": ownKind, "nonsense": ownKind}
	for _, encoded := range vectors {
		if likes[encoded], err = p.Kind(encoded); err != nil {
			t.Fatal(err)
		}
	}
	for like, want := range likes {
		dummy := p.Dummy(like)
		if got, err := p.Kind(dummy); err != nil || got != want {
			t.Errorf("Kind(Dummy(%q)) = %q, %v; want %q", like, got, err, want)
		}
		if dummy == like || dummy == p.Dummy(like) {
			t.Errorf("Dummy(%q) = %q, want a new random one each time", like, dummy)
		}
		if len(like) > 30 && len(dummy) > len(like)+32 {
			t.Errorf("Dummy(%q) = %q, which is much longer", like, dummy)
		}
		if strings.HasPrefix(like, "scrypt") || strings.HasPrefix(like, "argon2") {
			continue // the same as below, but slow
		}
		if got, err := p.Verify(t.Context(), dummy, "correct horse battery"); err != nil || got.OK {
			t.Errorf("Verify against Dummy(%q) = %+v, %v; want no match", like, got, err)
		}
		if err := p.Waste(t.Context(), like); err != nil {
			t.Errorf("Waste(%q) = %v", like, err)
		}
	}
}

func TestKind(t *testing.T) {
	p := quick(t, Options{})
	want := map[string]string{
		"pbkdf2_sha256": "pbkdf2_sha256 1000",
		"pbkdf2_sha1":   "pbkdf2_sha1 1000",
		"argon2":        "argon2id m=102400,t=2,p=8",
		"bcrypt_sha256": "bcrypt_sha256 4",
		"bcrypt":        "bcrypt 4",
		"scrypt":        "scrypt N=16384,r=8,p=5",
		"md5":           "md5",
		"sha1":          "sha1",
	}
	for name, encoded := range vectors {
		if got, err := p.Kind(encoded); err != nil || got != want[name] {
			t.Errorf("Kind(%s) = %q, %v; want %q", name, got, err, want[name])
		}
	}
	if got, err := p.Kind("!"); !errors.Is(err, ErrUnusable) {
		t.Errorf("Kind(!) = %q, %v; want ErrUnusable", got, err)
	}
}

func BenchmarkVerify(b *testing.B) {
	p, err := New(Options{})
	if err != nil {
		b.Fatal(err)
	}
	own, err := p.Hash(b.Context(), "correct horse battery")
	if err != nil {
		b.Fatal(err)
	}
	stored := map[string]string{"own": own, "django-5.2": strings.Replace(vectors["pbkdf2_sha256"], "$1000$", "$1000000$", 1)}
	for name, encoded := range vectors {
		stored[name] = encoded
	}
	for name, encoded := range stored {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Verify(context.Background(), encoded, "correct horse battery"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCheckNew(b *testing.B) {
	for b.Loop() {
		if err := CheckNew("a perfectly good password"); err != nil {
			b.Fatal(err)
		}
	}
}

func ExamplePool() {
	pool, err := New(Options{})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	stored, err := pool.Hash(ctx, "a long and quiet sentence")
	if err != nil {
		panic(err)
	}
	result, err := pool.Verify(ctx, stored, "a long and quiet sentence")
	fmt.Println(result.OK, result.Rehash, err)
	// Output: true false <nil>
}
