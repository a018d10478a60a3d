package pulpaccounts

import (
	"context"
	"sync"
	"time"
)

// Bounds of what is remembered. Somebody who removes a user in Pulp gets it
// made again after knownFor.
const (
	mostKnown = 10_000 // names
	knownFor  = 10 * time.Minute
)

// known remembers which users there are, so that Pulp is asked once for many
// requests, and once for those that come at the same time.
type known struct {
	timeout time.Duration
	now     func() time.Time

	mu      sync.RWMutex
	until   map[string]time.Time // by name
	pending map[string]*attempt
}

// attempt is one question that several wait for.
type attempt struct {
	done chan struct{}
	err  error // once done is closed
}

func newKnown(timeout time.Duration, now func() time.Time) *known {
	return &known{timeout: timeout, now: now, until: map[string]time.Time{}, pending: map[string]*attempt{}}
}

// ensure returns nil for a name that is known, and else what do returns. Failures
// are not remembered. The work goes on when the caller who began it has gone,
// for the others who wait.
func (k *known) ensure(ctx context.Context, name string, do func(context.Context) error) error {
	k.mu.RLock()
	until := k.until[name]
	k.mu.RUnlock()
	if k.now().Before(until) {
		return nil
	}
	k.mu.Lock()
	if k.now().Before(k.until[name]) { // since then
		k.mu.Unlock()
		return nil
	}
	a := k.pending[name]
	if a == nil {
		a = &attempt{done: make(chan struct{})}
		k.pending[name] = a
		go k.run(context.WithoutCancel(ctx), name, a, do)
	}
	k.mu.Unlock()
	select {
	case <-a.done:
		return a.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (k *known) run(ctx context.Context, name string, a *attempt, do func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, k.timeout)
	defer cancel()
	a.err = do(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.pending, name)
	if a.err == nil {
		k.remember(name)
	}
	close(a.done)
}

// remember keeps a name. Where there is no room any other one goes: it only
// costs a question more.
func (k *known) remember(name string) {
	if _, there := k.until[name]; !there && len(k.until) >= mostKnown {
		for other := range k.until {
			delete(k.until, other)
			break
		}
	}
	k.until[name] = k.now().Add(knownFor)
}
