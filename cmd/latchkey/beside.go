package main

import (
	"context"
	"log/slog"
	"sync"

	"github.com/latchkey-auth/latchkey/internal/config"
	"github.com/latchkey-auth/latchkey/internal/metrics"
	"github.com/latchkey-auth/latchkey/internal/server"
	"github.com/latchkey-auth/latchkey/internal/traces"
)

// beside is what goes on as long as the server does, the time included in which
// it lets requests finish.
type beside struct {
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
}

func newBeside(ctx context.Context) *beside {
	b := &beside{}
	b.ctx, b.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return b
}

// run begins something that goes on until its context ends.
func (b *beside) run(do func(context.Context)) { b.running.Go(func() { do(b.ctx) }) }

// end ends all of it and waits.
func (b *beside) end() {
	b.cancel()
	b.running.Wait()
}

// openTraces makes what sends spans, if the configuration wants it.
func openTraces(c config.Traces, log *slog.Logger) (*traces.Tracer, error) {
	if c.Endpoint == "" {
		return nil, nil
	}
	return traces.New(traces.Options{
		Endpoint: c.Endpoint, Authorization: c.Authorization, Percent: c.Percent, Version: thisBuild().Version, Log: log,
	})
}

// serveMetrics shows metrics, if the configuration wants it.
func serveMetrics(b *beside, c config.Metrics, m *metrics.Metrics, log *slog.Logger) error {
	if c.Listen == "" {
		return nil
	}
	l, err := server.Listen(b.ctx, c.Listen)
	if err != nil {
		return &advisedError{err: err, hint: "this is the address of metrics.listen"}
	}
	made := thisBuild()
	options := server.AdminOptions{
		Metrics: m, Build: metrics.Build{Version: made.Version, Commit: made.Commit, Go: made.Go}, Pprof: c.Pprof, Log: log,
	}
	log.Info("metrics are shown", "addr", l.Addr().String(), "pprof", c.Pprof)
	b.run(func(ctx context.Context) {
		if err := server.ServeAdmin(ctx, l, options); err != nil {
			log.Error("metrics are not shown any more", "err", err)
		}
	})
	return nil
}

// serveEnvoy answers Envoy over gRPC, if that is set.
func serveEnvoy(b *beside, c config.Envoy, srv *server.Server, o server.HTTPOptions, log *slog.Logger) error {
	if c.Listen == "" {
		return nil
	}
	l, err := server.Listen(b.ctx, c.Listen)
	if err != nil {
		return &advisedError{err: err, hint: "this is the address of envoy.listen"}
	}
	log.Info("Envoy is answered over gRPC", "addr", l.Addr().String())
	b.run(func(ctx context.Context) {
		if err := srv.ServeEnvoy(ctx, l, o); err != nil {
			log.Error("Envoy is not answered any more", "err", err)
		}
	})
	return nil
}
