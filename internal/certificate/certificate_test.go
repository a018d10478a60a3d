package certificate

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// made writes a certificate that ends after some time, and its key.
func made(t *testing.T, dir, name string, life time.Duration) Files {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(life),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	f := Files{Cert: filepath.Join(dir, name+".crt"), Key: filepath.Join(dir, name+".key")}
	write(t, f.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o644)
	write(t, f.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}), 0o600)
	return f
}

func write(t *testing.T, path string, content []byte, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path+".new", mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// replace gives one pair of files the contents of another.
func replace(t *testing.T, to, from Files) {
	t.Helper()
	copyFile(t, to.Cert, from.Cert, 0o644)
	copyFile(t, to.Key, from.Key, 0o600)
}

func copyFile(t *testing.T, to, from string, mode fs.FileMode) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	write(t, to, content, mode)
}

// log is a place to log to that can be looked at meanwhile.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *log) options() Options {
	return Options{Log: slog.New(slog.NewTextHandler(l, nil)), Every: 10 * time.Second}
}

// shown returns the name in the certificate that a client sees, and the version
// of TLS.
func shown(t *testing.T, k *Keeper, newest uint16) (string, uint16, error) {
	t.Helper()
	ours, theirs := net.Pipe()
	defer theirs.Close()
	go func() {
		c := tls.Server(ours, k.Config())
		_ = c.Handshake()
		_ = c.Close()
	}()
	c := tls.Client(theirs, &tls.Config{InsecureSkipVerify: true, MaxVersion: newest, NextProtos: []string{"h2"}})
	if err := c.Handshake(); err != nil {
		return "", 0, err
	}
	s := c.ConnectionState()
	if s.NegotiatedProtocol != "h2" {
		t.Errorf("the protocol is %q, want h2", s.NegotiatedProtocol)
	}
	return s.PeerCertificates[0].Subject.CommonName, s.Version, nil
}

func TestFilesThatChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		files, next := made(t, dir, "old.example.org", 90*24*time.Hour), made(t, dir, "new.example.org", 90*24*time.Hour)
		var out log
		k, err := Open(files, out.options())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go k.Run(ctx)
		look := func() { time.Sleep(k.opts.Every); synctest.Wait() }
		is := func(want string) {
			t.Helper()
			if got, _, err := shown(t, k, 0); err != nil || got != want {
				t.Errorf("the certificate is %q, %v, want %q\n%s", got, err, want, &out)
			}
		}
		is("old.example.org")
		copyFile(t, files.Cert, next.Cert, 0o644) // the key is yet to come
		look()
		is("old.example.org")
		if out.String() != "" {
			t.Errorf("halfway through a change the log says %s", &out)
		}
		look()
		look()
		if n := strings.Count(out.String(), "cannot be used; the old one stays"); n != 1 {
			t.Errorf("a broken pair was logged %d times, want once:\n%s", n, &out)
		}
		is("old.example.org")
		copyFile(t, files.Key, next.Key, 0o600)
		look()
		is("new.example.org")
		if !strings.Contains(out.String(), "a new certificate is in force") {
			t.Errorf("the log does not say that there is a new certificate:\n%s", &out)
		}
		if strings.Contains(out.String(), "PRIVATE") {
			t.Errorf("the log has something of a key:\n%s", &out)
		}
	})
}

// S76
func TestKeyModes(t *testing.T) {
	files := made(t, t.TempDir(), "a.example.org", time.Hour)
	for mode, want := range map[fs.FileMode]error{
		0o600: nil, 0o400: nil, 0o640: nil, 0o440: nil,
		0o644: ErrMode, 0o604: ErrMode, 0o660: ErrMode, 0o601: ErrMode, 0o777: ErrMode,
	} {
		if err := os.Chmod(files.Key, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(files, Options{Log: slog.New(slog.DiscardHandler)}); !errors.Is(err, want) {
			t.Errorf("Open() with a key of mode %o = %v, want %v", mode, err, want)
		}
	}
}

func TestWhatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	good, other := made(t, dir, "good.example.org", time.Hour), made(t, dir, "other.example.org", time.Hour)
	ended := made(t, dir, "ended.example.org", -time.Minute)
	empty := filepath.Join(dir, "empty")
	write(t, empty, nil, 0o600)
	k, err := Open(good, Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for name, files := range map[string]Files{
		"no certificate":      {Cert: filepath.Join(dir, "none"), Key: good.Key},
		"no key":              {Cert: good.Cert, Key: filepath.Join(dir, "none")},
		"another's key":       {Cert: good.Cert, Key: other.Key},
		"the wrong way round": {Cert: good.Key, Key: good.Cert},
		"an empty file":       {Cert: empty, Key: good.Key},
		"a folder":            {Cert: dir, Key: good.Key},
		"one that has ended":  ended,
	} {
		if renewed, err := k.Load(files); err == nil || renewed {
			t.Errorf("Load() of %s = %v, %v, want an error", name, renewed, err)
		} else if strings.Contains(err.Error(), "BEGIN") {
			t.Errorf("the error about %s has something of a file: %v", name, err)
		}
		if got, _, err := shown(t, k, 0); err != nil || got != "good.example.org" {
			t.Errorf("after %s the certificate is %q, %v, want the old one", name, got, err)
		}
	}
	if _, err := Open(ended, Options{Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Errorf("Open() of a certificate that has ended = %v: a server with one is better than none", err)
	}
}

func TestOldestVersion(t *testing.T) {
	files := made(t, t.TempDir(), "a.example.org", time.Hour)
	k, err := Open(files, Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if _, version, err := shown(t, k, tls.VersionTLS12); err != nil || version != tls.VersionTLS12 {
		t.Errorf("TLS 1.2 = %x, %v, want it to be spoken", version, err)
	}
	if _, _, err := shown(t, k, tls.VersionTLS11); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	files.MinVersion = tls.VersionTLS13
	if renewed, err := k.Load(files); err != nil || !renewed {
		t.Fatalf("Load() = %v, %v, want something new", renewed, err)
	}
	if _, _, err := shown(t, k, tls.VersionTLS12); err == nil {
		t.Error("TLS 1.2 is spoken although 1.3 is wanted")
	}
	if renewed, err := k.Load(files); err != nil || renewed {
		t.Errorf("Load() of the same = %v, %v, want nothing new", renewed, err)
	}
}

func TestWarnings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		files := made(t, dir, "a.example.org", 20*24*time.Hour)
		var out log
		options := out.options()
		options.Every = time.Hour / 2
		k, err := Open(files, options)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go k.Run(ctx)
		warnings := func() int { synctest.Wait(); return strings.Count(out.String(), "ends soon") }
		time.Sleep(13 * 24 * time.Hour) // more than a third is left
		if n := warnings(); n != 0 {
			t.Errorf("with a week to go there were %d warnings, want none", n)
		}
		time.Sleep(3*24*time.Hour - time.Hour)
		if n := warnings(); n < 2 || n > 3 {
			t.Errorf("three days later there were %d warnings, want one a day", n)
		}
		before := warnings()
		replace(t, files, made(t, dir, "b.example.org", 90*24*time.Hour))
		time.Sleep(3 * 24 * time.Hour)
		if n := warnings(); n != before {
			t.Errorf("after a new certificate there were %d more warnings", n-before)
		}
	})
}
