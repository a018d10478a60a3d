package django

import (
	"errors"
	"fmt"
	"hash/maphash"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/source"
)

func TestLikeIsInProportion(t *testing.T) {
	s := sample{seed: maphash.MakeSeed(), now: time.Now}
	if got := s.like("alice"); got != "" {
		t.Errorf("like without a sample = %q, want nothing", got)
	}
	s.set([]share{{"bcrypt 12", "a", 50}, {"pbkdf2_sha256 600000", "b", 150}})
	count := make(map[string]int)
	for i := range 20_000 {
		name := fmt.Sprint("nobody", i)
		got := s.like(name)
		if again := s.like(name); again != got {
			t.Fatalf("like(%q) = %q, then %q", name, got, again)
		}
		count[got]++
	}
	if len(count) != 2 || count["a"] < 4500 || count["a"] > 5500 {
		t.Errorf("like of 20000 names: %v, want a quarter a and the others b", count)
	}
}

// S100: the kinds of hashes are looked at again, now and then.
func TestResample(t *testing.T) {
	dsn, conn := database(t, recorded)
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	passwords := newPasswords(t)
	s := open(t, dsn, Options{Passwords: passwords, Now: func() time.Time { return now }})
	login := func(want string) {
		t.Helper()
		if _, err := s.Login(t.Context(), "nobody", "wrong"); !errors.Is(err, source.ErrRefused) {
			t.Fatalf("Login = %v, want ErrRefused", err)
		}
		if diff := cmp.Diff([]string{want}, passwords.done()); diff != "" {
			t.Errorf("hashes at %v (-want +got):\n%s", now, diff)
		}
	}
	run(t, conn, "DELETE FROM auth_user WHERE username NOT IN ('bcrypt', 'alice', 'inactive')")
	run(t, conn, "UPDATE auth_user SET is_active = false, password = 'rot13$what' WHERE username = 'alice'")
	login("bcrypt 4") // of the only one that can log in
	run(t, conn, "UPDATE auth_user SET password = 'sha1$salt12$5ca19aff26ed280dfa700f2eba0e25b2123d2ee6'")
	now = now.Add(10*time.Minute - time.Second)
	login("bcrypt 4")
	now = now.Add(time.Second)
	login("sha1")
}

func TestOneReadsTheSample(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	s := sample{seed: maphash.MakeSeed(), lasts: time.Minute, now: func() time.Time { return now }}
	// Until there is one, everybody reads it: nobody can go on without.
	if first, second := s.begin(), s.begin(); !first || !second {
		t.Errorf("begin twice without a sample = %v, %v; want true, true", first, second)
	}
	s.set(nil)
	s.end()
	if s.begin() {
		t.Error("begin with a new sample = true, want false")
	}
	now = now.Add(time.Minute)
	if first, second := s.begin(), s.begin(); !first || second {
		t.Errorf("begin twice with an old sample = %v, %v; want true, false", first, second)
	}
	s.end() // it could not be read
	if !s.begin() {
		t.Error("begin after a failure = false, want true")
	}
}
