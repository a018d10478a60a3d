package password

import (
	"errors"
	"strings"
	"testing"
)

// vectors are hashes of "correct horse battery" that Django made; the scrypt
// one was made by another implementation in Django's layout.
var vectors = map[string]string{
	"pbkdf2_sha256": "pbkdf2_sha256$1000$saltsaltsaltsaltsalt12$/5khlUZtHc7+FlwT/3JFXmPSgN8muGdOiOA2/Hv/n9k=",
	"pbkdf2_sha1":   "pbkdf2_sha1$1000$saltsaltsaltsaltsalt12$1pu+tW76YzmJvQyLf7eBqjomBSA=",
	"argon2":        "argon2$argon2id$v=19$m=102400,t=2,p=8$c2FsdHNhbHRzYWx0c2FsdHNhbHQxMg$7XRlbHgZIntvpJHvj6Kyiw",
	"bcrypt_sha256": "bcrypt_sha256$$2b$04$abcdefghijklmnopqrstuuFABy..DpKi5eX.TjDW.8iDMNk/Tma6W",
	"bcrypt":        "bcrypt$$2b$04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS",
	"scrypt":        "scrypt$16384$saltsaltsaltsaltsalt12$8$5$6vQrVXshXvTVWOL65vz2Knr15fhSW0bf8tXtDTa45cgbEKqLUX/JoA2OScYNEwK/WClJUQCzueNmKQdIrvkTPw==",
	"md5":           "md5$salt12$f695ac500069483ade6c8b654cbfca31",
	"sha1":          "sha1$salt12$5ca19aff26ed280dfa700f2eba0e25b2123d2ee6",
}

func TestDjangoVectors(t *testing.T) {
	p := quick(t, Options{})
	if len(vectors) != 8 {
		t.Fatalf("%d vectors, want 8", len(vectors))
	}
	for name, encoded := range vectors {
		got, err := p.Verify(t.Context(), encoded, "correct horse battery")
		if want := (Result{OK: true, Rehash: true}); err != nil || got != want {
			t.Errorf("%s: Verify = %+v, %v; want %+v", name, got, err, want)
		}
		for _, wrong := range []string{"correct horse batterY", "", "\x00correct horse battery"} {
			if got, err := p.Verify(t.Context(), encoded, wrong); err != nil || got != (Result{}) {
				t.Errorf("%s: Verify(%q) = %+v, %v; want no match", name, wrong, got, err)
			}
		}
	}
}

// The reference implementation of Argon2 has these in its test.c, with the
// password "password" and the salt "somesalt".
func TestArgon2Reference(t *testing.T) {
	p := quick(t, Options{})
	for _, encoded := range []string{
		"$argon2i$v=19$m=256,t=2,p=2$c29tZXNhbHQ$T/XOJ2mh1/TIpJHfCdQan76Q5esCFVoT5MAeIM1Oq2E",
		"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
	} {
		if got, err := p.Verify(t.Context(), encoded, "password"); err != nil || !got.OK {
			t.Errorf("Verify(%s) = %+v, %v; want OK", encoded, got, err)
		}
	}
}

// A bcrypt hash sees 72 bytes; longer passwords were accepted by the servers
// that made such hashes, so they go on to work.
func TestBcryptBeyondItsLimit(t *testing.T) {
	p := quick(t, Options{})
	// bcrypt of 80 times "x", made by an implementation that cuts off silently.
	const encoded = "bcrypt$$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i"
	for password, want := range map[string]bool{
		strings.Repeat("x", 80): true,
		strings.Repeat("x", 72): true,
		strings.Repeat("x", 71): false,
	} {
		if got, err := p.Verify(t.Context(), encoded, password); err != nil || got.OK != want {
			t.Errorf("Verify(%d bytes) = %+v, %v; want OK %v", len(password), got, err, want)
		}
	}
}

// S71: what is empty or malformed never matches, and a hostile row asks for
// nothing that is then done.
func TestUnusable(t *testing.T) {
	p := quick(t, Options{})
	const salt, digest = "c29tZXNhbHQ", "wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA"
	b64, b64long := "/5khlUZtHc7+FlwT/3JFXmPSgN8muGdOiOA2/Hv/n9k=", strings.SplitAfter(vectors["scrypt"], "$")[5]
	crypt := "abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS"
	for name, encoded := range map[string]string{
		"empty":                  "",
		"unusable":               "!",
		"unusable with a tail":   "!" + strings.Repeat("a", 40),
		"disabled hash":          "!" + vectors["pbkdf2_sha256"],
		"only dollars":           "$$$$$$",
		"unknown algorithm":      "rot13$1$salt$abcd",
		"plain text":             "correct horse battery",
		"ancient md5":            "f695ac500069483ade6c8b654cbfca31",
		"md5 without a salt":     "md5$$f695ac500069483ade6c8b654cbfca31",
		"sha1 without a salt":    "sha1$$5ca19aff26ed280dfa700f2eba0e25b2123d2ee6",
		"md5 in capitals":        "md5$salt12$F695AC500069483ADE6C8B654CBFCA31",
		"md5 cut":                "md5$salt12$f695ac50",
		"md5 without a digest":   "md5$salt12$",
		"sha1 of md5's length":   "sha1$salt12$f695ac500069483ade6c8b654cbfca31",
		"too long":               "md5$" + strings.Repeat("s", 500) + "$f695ac500069483ade6c8b654cbfca31",
		"name only":              "pbkdf2_sha256",
		"pbkdf2 cut":             "pbkdf2_sha256$1000$salt",
		"pbkdf2 without a salt":  "pbkdf2_sha256$1000$$" + b64,
		"pbkdf2 empty digest":    "pbkdf2_sha256$1000$salt$",
		"pbkdf2 short digest":    "pbkdf2_sha256$1000$salt$AAAA",
		"pbkdf2 zero rounds":     "pbkdf2_sha256$0$salt$" + b64,
		"pbkdf2 signed":          "pbkdf2_sha256$+1000$salt$" + b64,
		"pbkdf2 negative":        "pbkdf2_sha256$-1000$salt$" + b64,
		"pbkdf2 no number":       "pbkdf2_sha256$1e3$salt$" + b64,
		"pbkdf2 many rounds":     "pbkdf2_sha256$10000001$salt$" + b64,
		"pbkdf2 overflow":        "pbkdf2_sha256$99999999999999999999999$salt$" + b64,
		"pbkdf2 line end":        "pbkdf2_sha256$1000$salt$" + b64[:40] + "\n" + b64[40:],
		"pbkdf2 trailing bits":   "pbkdf2_sha256$1000$salt$" + b64[:42] + "l=",
		"pbkdf2 more parts":      vectors["pbkdf2_sha256"] + "$",
		"pbkdf2 sha1 of 32":      "pbkdf2_sha1$1000$salt$" + b64,
		"argon2d":                "argon2$argon2d$v=19$m=256,t=2,p=2$" + salt + "$" + digest,
		"argon2x":                "$argon2x$v=19$m=256,t=2,p=2$" + salt + "$" + digest,
		"argon2 without version": "$argon2i$m=256,t=2,p=2$" + salt + "$" + digest,
		"argon2 old version":     "$argon2i$v=16$m=256,t=2,p=2$" + salt + "$" + digest,
		"argon2 terabyte":        "$argon2i$v=19$m=1073741824,t=2,p=2$" + salt + "$" + digest,
		"argon2 memory overflow": "$argon2i$v=19$m=4294967552,t=2,p=2$" + salt + "$" + digest,
		"argon2 a day":           "$argon2i$v=19$m=256,t=4294967295,p=2$" + salt + "$" + digest,
		"argon2 long at large":   "$argon2i$v=19$m=262144,t=5,p=2$" + salt + "$" + digest,
		"argon2 zero passes":     "$argon2i$v=19$m=256,t=0,p=2$" + salt + "$" + digest,
		"argon2 zero threads":    "$argon2i$v=19$m=256,t=2,p=0$" + salt + "$" + digest,
		"argon2 256 threads":     "$argon2i$v=19$m=4096,t=2,p=256$" + salt + "$" + digest,
		"argon2 little memory":   "$argon2i$v=19$m=15,t=2,p=2$" + salt + "$" + digest,
		"argon2 other order":     "$argon2i$v=19$t=2,m=256,p=2$" + salt + "$" + digest,
		"argon2 key id":          "$argon2i$v=19$m=256,t=2,p=2,keyid=AA$" + salt + "$" + digest,
		"argon2 padded":          "$argon2i$v=19$m=256,t=2,p=2$" + salt + "=$" + digest,
		"argon2 without digest":  "$argon2i$v=19$m=256,t=2,p=2$" + salt + "$",
		"argon2 short digest":    "$argon2i$v=19$m=256,t=2,p=2$" + salt + "$AAAA",
		"argon2 without salt":    "$argon2i$v=19$m=256,t=2,p=2$$" + digest,
		"bcrypt 2x":              "bcrypt$$2x$04$" + crypt,
		"bcrypt cost 31":         "bcrypt$$2b$31$" + crypt,
		"bcrypt cost 3":          "bcrypt$$2b$03$" + crypt,
		"bcrypt cost 00":         "bcrypt$$2b$00$" + crypt,
		"bcrypt cost letters":    "bcrypt$$2b$0x$" + crypt,
		"bcrypt single dollar":   "bcrypt$2b$04$" + crypt,
		"bcrypt cut":             "bcrypt$$2b$04$" + crypt[1:],
		"bcrypt longer":          "bcrypt$$2b$04$" + crypt + "a",
		"bcrypt odd character":   "bcrypt$$2b$04$" + crypt[:52] + "!",
		"bcrypt NUL":             "bcrypt$$2b$04$" + crypt[:30] + "\x00" + crypt[31:],
		"scrypt N not a power":   "scrypt$16383$salt$8$5$" + b64long,
		"scrypt N of one":        "scrypt$1$salt$8$5$" + b64long,
		"scrypt N overflow":      "scrypt$9223372036854775808$salt$8$5$" + b64long,
		"scrypt gigabytes":       "scrypt$4194304$salt$8$5$" + b64long,
		"scrypt r":               "scrypt$16384$salt$1073741824$1$" + b64long,
		"scrypt p":               "scrypt$16384$salt$8$1073741824$" + b64long,
		"scrypt r times p":       "scrypt$2$salt$2097152$2097152$" + b64long,
		"scrypt without salt":    "scrypt$16384$$8$5$" + b64long,
		"scrypt cut":             "scrypt$16384$salt$8$5",
		"scrypt short digest":    "scrypt$16384$salt$8$5$AAAA",
	} {
		for _, password := range []string{"", "correct horse battery", "password", encoded} {
			got, err := p.Verify(t.Context(), encoded, password)
			if got != (Result{}) || !errors.Is(err, ErrUnusable) {
				t.Errorf("%s: Verify(%q) = %+v, %v; want ErrUnusable", name, password, got, err)
			}
			if err != nil && (strings.Contains(err.Error(), digest) || strings.Contains(err.Error(), crypt)) {
				t.Errorf("%s: the error repeats the hash: %v", name, err)
			}
		}
	}
}

func TestArgon2dSaysSo(t *testing.T) {
	_, err := quick(t, Options{}).Kind(strings.Replace(vectors["argon2"], "argon2id", "argon2d", 1))
	if err == nil || !strings.Contains(err.Error(), "argon2d is not supported") {
		t.Errorf("Kind of an argon2d hash = %v, want an error that says that it is not supported", err)
	}
}

// FuzzVerify offers odd stored hashes. The limits are low, so that each try
// is quick; what they let through is the same code.
func FuzzVerify(f *testing.F) {
	for _, encoded := range vectors {
		f.Add(encoded, "correct horse battery")
	}
	f.Add("$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password")
	f.Add("scrypt$2$s$1$1$6vQrVXshXvTVWOL65vz2Knr15fhSW0bf8tXtDTa45cgbEKqLUX/JoA2OScYNEwK/WClJUQCzueNmKQdIrvkTPw==", "p")
	f.Add("!", "")
	f.Add("md5$$", "x")
	p := quick(f, Options{Limits: Limits{PBKDF2: 1000, Memory: 64, Argon2: 128, Scrypt: 512, Bcrypt: 4}})
	f.Fuzz(func(t *testing.T, encoded, password string) {
		got, err := p.Verify(t.Context(), encoded, password)
		if err != nil && !errors.Is(err, ErrUnusable) {
			t.Errorf("Verify(%q) = %v, want ErrUnusable or none", encoded, err)
		}
		if got.OK && (password == "" || err != nil) {
			t.Errorf("Verify(%q, %q) = %+v, %v", encoded, password, got, err)
		}
		if err != nil {
			return
		}
		kind, err := p.Kind(encoded)
		if err != nil {
			t.Fatalf("Kind(%q) = %v after it was verified", encoded, err)
		}
		if got, err := p.Kind(p.Dummy(encoded)); err != nil || got != kind {
			t.Errorf("Kind(Dummy(%q)) = %q, %v; want %q", encoded, got, err, kind)
		}
	})
}
