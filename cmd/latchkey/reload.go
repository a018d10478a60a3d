package main

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/certificate"
	"github.com/latchkey-auth/latchkey/internal/config"
	"github.com/latchkey-auth/latchkey/internal/metrics"
	"github.com/latchkey-auth/latchkey/internal/server"
)

// reloader puts a configuration that was read again into force, all of it or
// nothing.
type reloader struct {
	read    func() (config.Config, error)
	inForce config.Config
	server  *server.Server
	cert    *certificate.Keeper // nil: no TLS
	logging *logging
	metrics *metrics.Metrics
}

// run reads the configuration again at each signal until ctx ends.
func (r *reloader) run(ctx context.Context, signals <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
			r.reload()
		}
	}
}

// reload reads the configuration and says in the log what came of it.
func (r *reloader) reload() {
	log := r.logging.log
	became, err := r.apply()
	r.metrics.Reloaded(err == nil, time.Now())
	var wrong *config.Error
	switch {
	case errors.As(err, &wrong):
		for _, p := range wrong.Problems {
			log.Error("a mistake in the configuration", "problem", p.String())
		}
		log.Error("the configuration was not reloaded: nothing has changed", "mistakes", len(wrong.Problems))
		return
	case err != nil:
		log.Error("the configuration was not reloaded: nothing has changed", "err", err)
		return
	}
	for _, w := range became.Config.Warnings() {
		log.Warn("the configuration", "warning", w.String())
	}
	if len(became.Pending) > 0 {
		log.Warn("some of the configuration needs a restart and is as it was", "keys", strings.Join(became.Pending, " "))
	}
	log.Info("the configuration was reloaded", "changed", orNothing(became.Applied))
}

func orNothing(keys []string) string {
	if len(keys) == 0 {
		return "nothing"
	}
	return strings.Join(keys, " ")
}

// apply reads the configuration and puts it into force. The steps that can fail
// come first.
func (r *reloader) apply() (config.Reloaded, error) {
	next, err := r.read()
	if err != nil {
		return config.Reloaded{}, err
	}
	became, err := r.inForce.Reload(next)
	if err != nil {
		return config.Reloaded{}, err
	}
	useCertificate := func() bool { return false }
	if r.cert != nil {
		if useCertificate, err = r.cert.Prepare(certificateFiles(became.Config.TLS)); err != nil {
			return config.Reloaded{}, err
		}
	}
	options, err := serverOptions(became.Config)
	if err != nil {
		return config.Reloaded{}, err
	}
	if err := r.server.Reload(options); err != nil {
		return config.Reloaded{}, err
	}
	if useCertificate() && !slices.Contains(became.Applied, "tls.cert") {
		became.Applied = append(became.Applied, "(the certificate)")
	}
	r.logging.set(became.Config.Log)
	r.inForce = became.Config
	return became, nil
}

func certificateFiles(c config.TLS) certificate.Files {
	files := certificate.Files{Cert: c.Cert, Key: c.Key, MinVersion: tls.VersionTLS12}
	if c.MinVersion == "1.3" {
		files.MinVersion = tls.VersionTLS13
	}
	return files
}

// openCertificate reads the certificate that the configuration names, if any.
func openCertificate(c config.TLS, log *slog.Logger) (*certificate.Keeper, error) {
	if !c.On() {
		return nil, nil
	}
	return certificate.Open(certificateFiles(c), certificate.Options{Log: log})
}
