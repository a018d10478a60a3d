package audit

import (
	"context"
	"net/netip"
	"strings"
)

// Request is what the audit log keeps of the request that led to an event.
type Request struct {
	Addr          netip.Addr
	Peer          netip.Addr // who asked this server: the client, or the last proxy before it
	Agent         string
	RequestID     string // made by this server for every request
	CorrelationID string // shared with other services; may come from the client

	// Method and Path are what was asked for, the path as the client wrote it
	// and without its query, which may hold a secret.
	Method, Path string

	// Door says where it was asked; "" stands for [DoorOf] the path.
	Door string
}

type contextKey struct{}

// Context is a context with a request, as [NewContext] returns it: to be part
// of what is made for every request that comes, in one allocation.
type Context struct {
	context.Context
	Request Request
}

// Value implements [context.Context].
func (c *Context) Value(key any) any {
	if key == (contextKey{}) {
		return &c.Request
	}
	return c.Context.Value(key)
}

// NewContext returns a context that carries r to the core.
func NewContext(ctx context.Context, r Request) context.Context {
	return &Context{ctx, r}
}

// FromContext returns what [NewContext] put in, or nothing.
func FromContext(ctx context.Context) Request {
	if r, ok := ctx.Value(contextKey{}).(*Request); ok {
		return *r
	}
	return Request{}
}

// Ask notes that the request of ctx asks about another one, as a proxy does
// for its clients' requests: events then name that method and that path. It
// must be called by the goroutine that serves the request, before anything
// else looks at it.
func Ask(ctx context.Context, method, path string) {
	r, ok := ctx.Value(contextKey{}).(*Request)
	if !ok {
		return
	}
	if r.Door == "" {
		r.Door = DoorOf(r.Path)
	}
	r.Method, r.Path = method, path
}

const ownPaths = "/latchkey/"

// DoorOf names the door that a path leads to: "verify" for /latchkey/verify,
// "api" for all of the native API, and so on; "gateway" for every path that is
// not Latchkey's own.
func DoorOf(path string) string {
	own, ok := strings.CutPrefix(path, ownPaths)
	if !ok {
		return "gateway"
	}
	name, _, _ := strings.Cut(own, "/")
	return name
}

func (r Request) door() string {
	if r.Door != "" {
		return r.Door
	}
	return DoorOf(r.Path)
}

// maxPath bounds what an event keeps of a path, in bytes.
const maxPath = 2048

// Asked returns the detail of an event about what was asked for: method and
// path, and the scope that was missing unless it is "".
func Asked(ctx context.Context, missing string) map[string]string {
	r := FromContext(ctx)
	detail := map[string]string{}
	if r.Path != "" {
		detail["method"], detail["path"], detail["door"] = clip(r.Method, maxText), clip(r.Path, maxPath), Clip(r.door())
	}
	if missing != "" {
		detail["missing"] = clip(missing, maxPath)
	}
	if len(detail) == 0 {
		return nil
	}
	return detail
}
