package gateway

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// S109
func TestAuditModes(t *testing.T) {
	tests := []struct {
		name                 string
		method, path         string
		header               http.Header
		status               int // the upstream's
		refusals, write, all bool
		want                 store.Event
	}{
		{"a read", "GET", "/api/x?q=secret", bearer(aliceToken), 200, false, false, true, store.Event{
			Outcome: "ok", ActorID: "1", ActorName: "alice", TokenID: "tok_alice", Target: "GET /api/x",
			Detail: map[string]string{"status": "200"},
		}},
		{"a write", "POST", "/api/x", bearer(aliceToken), 201, false, true, true, store.Event{
			Outcome: "ok", ActorID: "1", ActorName: "alice", TokenID: "tok_alice", Target: "POST /api/x",
			Detail: map[string]string{"status": "201"},
		}},
		{"a write that the upstream refuses", "POST", "/api/x", bearer(aliceToken), 403, false, true, true, store.Event{
			Outcome: "refused", ActorID: "1", ActorName: "alice", TokenID: "tok_alice", Target: "POST /api/x",
			Detail: map[string]string{"status": "403"},
		}},
		{"a write that fails", "POST", "/api/x", bearer(aliceToken), 500, false, true, true, store.Event{
			Outcome: "failed", ActorID: "1", ActorName: "alice", TokenID: "tok_alice", Target: "POST /api/x",
			Detail: map[string]string{"status": "500"},
		}},
		{"too narrow a scope", "DELETE", "/api/x", bearer(readerToken), 0, true, true, true, store.Event{
			Outcome: "refused", Reason: "forbidden", ActorID: "1", ActorName: "alice", TokenID: "tok_reader", Target: "DELETE /api/x",
			Detail: map[string]string{"status": "403", "missing": "path:/api/x:delete"},
		}},
		{"an impossible name", "GET", "/api/x", bearer(oddNameToken), 0, true, true, true, store.Event{
			Outcome: "refused", Reason: "forbidden", ActorID: "1", ActorName: "zoë", TokenID: "tok_odd", Target: "GET /api/x",
			Detail: map[string]string{"status": "403"},
		}},
		{"nobody reads", "GET", "/api/x", nil, 0, true, true, true, store.Event{
			Outcome: "refused", Reason: "unauthenticated", Target: "GET /api/x", Detail: map[string]string{"status": "401"},
		}},
		{"nobody writes", "POST", "/api/x", nil, 0, true, true, true, store.Event{
			Outcome: "refused", Reason: "unauthenticated", Target: "POST /api/x", Detail: map[string]string{"status": "401"},
		}},
		{"the check fails", "POST", "/api/x", bearer(downToken), 0, false, true, true, store.Event{
			Outcome: "failed", Reason: "unavailable", Target: "POST /api/x", Detail: map[string]string{"status": "503"},
		}},
	}
	for _, tt := range tests {
		for mode, recorded := range map[Auditing]bool{"": tt.refusals, AuditRefusals: tt.refusals, AuditWrites: tt.write, AuditAll: tt.all} {
			t.Run(tt.name+" "+string(mode), func(t *testing.T) {
				m := newMirror(t)
				m.next = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(tt.status) }
				h := open(t, Options{Routes: one(m.url(t), func(r *Route) { r.Audit = mode })})
				res, _ := h.send(t, tt.method, tt.path, tt.header, nil)
				var want []store.Event
				if recorded {
					e := tt.want
					e.Action, e.Count = "gateway.request", 1
					e.RequestID = res.Header.Get("Latchkey-Request-Id")
					e.CorrelationID = res.Header.Get("Correlation-Id")
					e.Addr, e.Agent = "127.0.0.1", "Go-http-client/1.1"
					e.Detail = map[string]string{
						"route": "all", "upstream": m.url(t).Host, "door": "gateway", "method": tt.method, "path": "/api/x",
					}
					for k, v := range tt.want.Detail {
						e.Detail[k] = v
					}
					want = append(want, e)
				}
				h.Close() // so that the request has ended
				got := h.events(t)
				if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(store.Event{}, "ID", "At")); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// S110
func TestAuditTargetsArePrintable(t *testing.T) {
	m := newMirror(t)
	h := open(t, Options{Routes: one(m.url(t), func(r *Route) { r.Audit = AuditAll })})
	exchangeRaw(t, h.addr(), rawGet("/\x85\xff"+strings.Repeat("a", 1000), ""))
	h.Close()
	got := h.events(t)
	if len(got) != 1 || len(got[0].Target) > 300 || !audit.Printable(got[0].Target) {
		t.Errorf("events = %+v, want one with a short, printable target", got)
	}
}

func TestBrokenAnswersAreRecordedAsFailed(t *testing.T) {
	h := open(t, Options{Routes: one(sayOnce(t, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart"), func(r *Route) { r.Audit = AuditAll })})
	exchangeRaw(t, h.addr(), rawGet("/", ""))
	h.Close()
	if got := h.events(t); len(got) != 1 || got[0].Outcome != "failed" || got[0].Reason != "interrupted" {
		t.Errorf("events = %+v, want one that failed, interrupted", got)
	}
}
