package server

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"
)

// reloading is what [Server.Reload] needs.
type reloading struct {
	mu      sync.Mutex // one at a time
	keep    time.Duration
	renewed chan struct{} // has a value when keep has changed
}

// Reload puts other options into force: a new tree of handlers on the core that
// is there, and other rules of life. It takes everything but what the core was
// made of (Store, Keys, Log, Now, SigningKeys, Passwords, Sources, ThrottleFile,
// Metrics, Tracer, most of SimpleJWT and the cache in Tokens), which stay. Requests under way are
// finished by the tree that they began with. On an error nothing has changed.
func (s *Server) Reload(o Options) error {
	s.reload.mu.Lock()
	defer s.reload.mu.Unlock()
	o.Store, o.Keys, o.Log, o.Now = s.opts.Store, s.opts.Keys, s.opts.Log, s.opts.Now
	o.Metrics, o.Tracer, o.SimpleJWT = s.opts.Metrics, s.opts.Tracer, s.opts.reloadedJWT(o.SimpleJWT)
	o.Realm, o.Issuer = cmp.Or(o.Realm, s.opts.Realm), cmp.Or(o.Issuer, s.opts.Issuer)
	o.PublicURL = cmp.Or(o.PublicURL, s.opts.PublicURL)
	next, err := s.buildHandlers(o)
	if err != nil {
		return err
	}
	before := s.tokens.Policy()
	if err := s.tokens.SetPolicy(o.Tokens.Policy); err != nil {
		next.close()
		return err
	}
	if err := s.tokens.SetChecks(o.Tokens.Checks); err != nil {
		next.close()
		return errors.Join(err, s.tokens.SetPolicy(before))
	}
	s.keepAudit(o.AuditKeep)
	s.serving.Swap(next).close()
	return nil
}

// keepAudit says how long events are kept from now on.
func (s *Server) keepAudit(keep time.Duration) {
	if s.reload.keep == keep {
		return
	}
	s.reload.keep = keep
	select {
	case s.reload.renewed <- struct{}{}:
	default: // the sweep has not seen the last change yet, and will see both
	}
}

func (s *Server) auditKept() time.Duration {
	s.reload.mu.Lock()
	defer s.reload.mu.Unlock()
	return s.reload.keep
}

// sweepAudit removes old events until ctx ends, and begins anew when it is
// said how old.
func (s *Server) sweepAudit(ctx context.Context) {
	for ctx.Err() == nil {
		inner, cancel := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.chain.Sweep(inner, s.auditKept())
		}()
		select {
		case <-ctx.Done():
		case <-s.reload.renewed:
		}
		cancel()
		<-ended
	}
}
