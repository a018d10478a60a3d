// Package metrics says which metrics the server has, counts what nobody else
// counts, and shows all of it to Prometheus.
//
// Nothing here is on the way of a request but additions to a
// [counter.Requests]: what is counted elsewhere is read when metrics are asked
// for. Labels have values from lists that are fixed in the code, or, for the
// routes of the gateway, in the configuration; never names, ids or addresses
// of anybody. The reference in docs/reference/metrics.md is made from
// table.go, which is the only place where a metric is described.
package metrics

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-auth/latchkey/internal/counter"
	"github.com/latchkey-auth/latchkey/internal/store/watched"
)

// Door is a part of the server that answers requests.
type Door int

// Doors.
const (
	NoDoor    Door = iota // nothing is served at the path
	Verify                // forward-auth
	API                   // the native API
	Gateway               // what is passed on to another service
	Health                // whether the server lives, and is ready
	DRF                   // the dialect of Django REST framework's authtoken
	JWKS                  // the public keys for verifiers
	SimpleJWT             // the dialect of djangorestframework-simplejwt
	OAuth                 // introspection
	Registry              // the realm of container registries
	doorCount
)

// String names the door as metrics have it.
func (d Door) String() string {
	return [...]string{"none", "verify", "api", "gateway", "health", "drf", "jwks", "simplejwt", "oauth", "registry"}[d]
}

// Doors lists all doors.
func Doors() []Door {
	list := make([]Door, doorCount)
	for i := range list {
		list[i] = Door(i)
	}
	return list
}

// mostRoutes bounds how many routes are told apart over the life of the
// process, in which the configuration may change often.
const mostRoutes = 1000

// otherRoutes stands for the routes beyond that.
const otherRoutes = "(others)"

// Metrics is the counters of one server. Its methods may be called from many
// goroutines. Make one with [New].
type Metrics struct {
	doors   [doorCount]*counter.Requests
	calls   []*calls // by watched.Kind
	commits *counter.Histogram

	connected, disconnected counter.Counter

	mu     sync.Mutex
	routes map[string]*counter.Requests

	reloads  [2]atomic.Int64 // failed, done
	reloaded atomic.Int64    // when the configuration in force was read, s since 1970
	lastGood atomic.Bool     // the last attempt was good

	sources atomic.Pointer[Sources]
}

// calls is what is counted of one kind of call of the store.
type calls struct {
	took   *counter.Histogram
	failed atomic.Int64
}

// New returns counters at 0.
func New() *Metrics {
	m := &Metrics{
		routes:  map[string]*counter.Requests{},
		commits: counter.NewHistogram(1, 2, 4, 8, 16, 32, 64, 128),
	}
	for i := range m.doors {
		m.doors[i] = counter.NewRequests()
	}
	for range watched.Kinds() {
		m.calls = append(m.calls, &calls{took: counter.NewHistogram(counter.Durations()...)})
	}
	m.reloaded.Store(time.Now().Unix())
	m.lastGood.Store(true)
	return m
}

// Door returns the counter of the requests at a door.
func (m *Metrics) Door(d Door) *counter.Requests { return m.doors[d] }

// Route returns the counter of the requests that a route of the gateway passes
// on. A route keeps its counter when the configuration is read again.
func (m *Metrics) Route(name string) *counter.Requests {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.routes[name]; r != nil {
		return r
	}
	if len(m.routes) >= mostRoutes {
		name = otherRoutes
		if r := m.routes[name]; r != nil {
			return r
		}
	}
	r := counter.NewRequests()
	m.routes[name] = r
	return r
}

// routeNames lists the routes that have a counter, sorted.
func (m *Metrics) routeNames() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := make([]string, 0, len(m.routes))
	for name := range m.routes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// StoreCall counts a call of the store.
func (m *Metrics) StoreCall(kind watched.Kind, took time.Duration, failed bool) {
	c := m.calls[kind]
	c.took.Observe(int64(took))
	if failed {
		c.failed.Add(1)
	}
}

// Committed counts a commit that so many callers share.
func (m *Metrics) Committed(callers int) { m.commits.Observe(int64(callers)) }

// Connected counts a connection that was opened, and Disconnected one that was
// closed or handed over.
func (m *Metrics) Connected() { m.connected.Inc() }

// Disconnected is the end of what Connected has counted.
func (m *Metrics) Disconnected() { m.disconnected.Inc() }

// Reloaded counts an attempt to read the configuration again, and whether it
// was put into force.
func (m *Metrics) Reloaded(done bool, now time.Time) {
	m.lastGood.Store(done)
	if !done {
		m.reloads[0].Add(1)
		return
	}
	m.reloads[1].Add(1)
	m.reloaded.Store(now.Unix())
}
