// Package certificate keeps the certificate of a listener in step with its
// files: they are read again when they change, a connection that is open is not
// touched, and a pair that cannot be used leaves the old one in force.
//
// It listens nowhere, asks no authority for certificates, and checks none of
// clients.
package certificate

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// ErrMode says that others can read a private key (S76). Its group may: keys
// are often lent to servers that way.
var ErrMode = errors.New("others than its owner have access to the key (chmod 600, or 640 to lend it to a group)")

// Files name a certificate and what it is used with.
type Files struct {
	Cert, Key  string // in PEM; the certificates of the authorities in between behind the first
	MinVersion uint16 // of TLS; 0: 1.2
}

// Options say how a [Keeper] works. Log is needed.
type Options struct {
	Log   *slog.Logger
	Every time.Duration    // how often the files are looked at; 10 s if zero
	Now   func() time.Time // time.Now if nil
}

// Keeper has the certificate that is in force. Its methods may be called from
// many goroutines.
type Keeper struct {
	opts    Options
	current atomic.Pointer[pair]
}

// pair is a certificate that was loaded.
type pair struct {
	files     Files
	cert, key []byte // the contents of the files
	begins    time.Time
	ends      time.Time
	config    *tls.Config
}

// Open reads a certificate.
func Open(files Files, o Options) (*Keeper, error) {
	if o.Every <= 0 {
		o.Every = 10 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	k := &Keeper{opts: o}
	if _, err := k.Load(files); err != nil {
		return nil, err
	}
	return k, nil
}

// Config returns what a listener needs. The configuration of each connection is
// the one in force when it begins.
func (k *Keeper) Config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return k.current.Load().config, nil },
	}
}

// NotAfter returns when the certificate in force ends.
func (k *Keeper) NotAfter() time.Time { return k.current.Load().ends }

// Load reads the files and puts what they hold into force; it reports whether
// that is something new. On an error, the old certificate stays.
func (k *Keeper) Load(files Files) (bool, error) {
	next, err := k.Prepare(files)
	if err != nil {
		return false, err
	}
	return next(), nil
}

// Prepare reads the files and returns what puts them into force, for callers
// that change more than a certificate, all of it or nothing. One that has ended
// is refused where the one in force has not.
func (k *Keeper) Prepare(files Files) (use func() bool, err error) {
	cert, key, err := read(files)
	if err != nil {
		return nil, err
	}
	old := k.current.Load()
	if old != nil && old.files == files && bytes.Equal(old.cert, cert) && bytes.Equal(old.key, key) {
		return func() bool { return false }, nil
	}
	next, err := parse(files, cert, key)
	if err != nil {
		return nil, err
	}
	if now := k.opts.Now(); old != nil && now.After(next.ends) && now.Before(old.ends) {
		return nil, fmt.Errorf("the certificate %s ended at %s", files.Cert, next.ends.Format(time.RFC3339))
	}
	return func() bool {
		k.current.Store(next)
		return true
	}, nil
}

func parse(files Files, cert, key []byte) (*pair, error) {
	loaded, err := tls.X509KeyPair(cert, key)
	if err != nil {
		// What the package says about PEM and keys repeats nothing of them.
		return nil, fmt.Errorf("the certificate %s and the key %s cannot be used: %v", files.Cert, files.Key, err)
	}
	version := files.MinVersion
	if version == 0 {
		version = tls.VersionTLS12
	}
	return &pair{
		files: files, cert: cert, key: key, begins: loaded.Leaf.NotBefore, ends: loaded.Leaf.NotAfter,
		config: &tls.Config{
			Certificates: []tls.Certificate{loaded}, MinVersion: version, NextProtos: []string{"h2", "http/1.1"},
		},
	}, nil
}

// read returns the contents of both files, if the key is not open to others.
func read(files Files) (cert, key []byte, err error) {
	if cert, err = contents(files.Cert, 0); err != nil {
		return nil, nil, fmt.Errorf("read the certificate: %w", err)
	}
	if key, err = contents(files.Key, 0o037); err != nil {
		return nil, nil, fmt.Errorf("read the key of the certificate: %w", err)
	}
	return cert, key, nil
}

// contents reads a file of at most 1 MiB whose mode has none of the forbidden
// bits.
func contents(path string, forbidden fs.FileMode) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no file", path)
	case info.Mode().Perm()&forbidden != 0:
		return nil, fmt.Errorf("%s: %w", path, ErrMode)
	}
	return io.ReadAll(io.LimitReader(f, 1<<20))
}

// Run looks at the files again and again until ctx ends, and warns when the
// certificate is about to end. A pair that is broken is logged when it still is
// at the next look: while two files are being replaced, they do not fit.
func (k *Keeper) Run(ctx context.Context) {
	tick := time.NewTicker(k.opts.Every)
	defer tick.Stop()
	var broken, told string
	var warned time.Time
	for {
		if now := k.opts.Now(); now.Sub(warned) >= 24*time.Hour && k.endsSoon(now) {
			k.opts.Log.Warn("the certificate of the listener ends soon, or has ended", "cert", k.current.Load().files.Cert, "not_after", k.NotAfter())
			warned = now
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		renewed, err := k.Load(k.current.Load().files)
		switch {
		case err == nil:
			broken, told = "", ""
		case err.Error() != broken:
			broken = err.Error()
		case broken != told:
			told = broken
			k.opts.Log.Error("a new certificate cannot be used; the old one stays in force", "err", err, "not_after", k.NotAfter())
		}
		if renewed {
			warned = time.Time{}
			k.opts.Log.Info("a new certificate is in force", "not_after", k.NotAfter())
		}
	}
}

// endsSoon reports whether less than a third of the certificate's life is left,
// or less than two weeks of a long one.
func (k *Keeper) endsSoon(now time.Time) bool {
	p := k.current.Load()
	return p.ends.Sub(now) < min(p.ends.Sub(p.begins)/3, 14*24*time.Hour)
}
