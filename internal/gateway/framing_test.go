package gateway

import (
	"net/http"
	"strings"
	"testing"
)

// S90: of a request whose end two servers could see in different places, at
// most that request itself goes on, and nothing that follows on the connection.
func TestSmugglingShapes(t *testing.T) {
	const second = "GET /smuggled HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer TOKEN\r\n\r\n"
	const head = "POST /first HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer TOKEN\r\n"
	tests := []struct {
		name, request string
		want          []int // statuses; 0: closed without an answer
		reaches       bool  // the first request may reach the upstream
	}{
		{"both lengths, CL first", head + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + second, []int{200}, true},
		{"both lengths, TE first", head + "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n" + second, []int{200}, true},
		{"both lengths, long CL", head + "Content-Length: 600\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + second, []int{200}, true},
		{"two content lengths", head + "Content-Length: 0\r\nContent-Length: 5\r\n\r\n" + second, []int{400}, false},
		{"a list of content lengths", head + "Content-Length: 0, 0\r\n\r\n" + second, []int{400}, false},
		{"a signed content length", head + "Content-Length: +5\r\n\r\nhello" + second, []int{400}, false},
		{"a hexadecimal content length", head + "Content-Length: 0x5\r\n\r\nhello" + second, []int{400}, false},
		{"a space before the colon", head + "Content-Length : 5\r\n\r\nhello" + second, []int{400}, false},
		{"a space before the colon of TE", head + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + second, []int{400}, false},
		{"an unknown coding", head + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + second, []int{501}, false},
		{"two codings", head + "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n" + second, []int{501}, false},
		{"two lines of codings", head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + second, []int{501}, false},
		{"a vertical tab in the coding", head + "Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + second, []int{400, 501}, false},
		{"TE in HTTP/1.0", strings.Replace(head, "1.1", "1.0", 1) + "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + second, []int{200}, true},
		{"a chunk size that is none", head + "Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n" + second, []int{400}, false},
		{"a chunk size with a sign", head + "Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n" + second, []int{400}, false},
		{"a chunk size that overflows", head + "Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n" + second, []int{400}, false},
		{"a chunk that is too long", head + "Transfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n" + second, []int{400}, false},
		{"a trailer that is none", head + "Transfer-Encoding: chunked\r\n\r\n0\r\nnot a field\r\n\r\n" + second, []int{400}, false},
		{"a folded first line", "POST /first HTTP/1.1\r\n Host: h\r\n\r\n" + second, []int{400}, false},
		{"no host", "POST /first HTTP/1.1\r\nAuthorization: Bearer TOKEN\r\n\r\n" + second, []int{400}, false},
		{"two hosts", head + "Host: other\r\n\r\n" + second, []int{400}, false},
		{"a bare CR in a value", head + "X: a\rContent-Length: 5\r\n\r\nhello" + second, []int{400}, false},
		{"a NUL in a value", head + "X: a\x00b\r\n\r\n" + second, []int{400}, false},
		{"a space in the target", "POST /first x HTTP/1.1\r\nHost: h\r\n\r\n" + second, []int{400}, false},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + second, []int{400, 405, 505, 0}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMirror(t)
			h := open(t, Options{Routes: one(m.url(t), nil)})
			answer := exchangeRaw(t, h.addr(), strings.ReplaceAll(tt.request, "TOKEN", aliceToken))
			got, ok := statusOf(answer), false
			for _, want := range tt.want {
				ok = ok || got == want
			}
			if !ok {
				t.Errorf("status = %d, want one of %d; answer:\n%s", got, tt.want, answer)
			}
			for _, s := range m.all() {
				if s.Target != "/first" || !tt.reaches {
					t.Errorf("the upstream got %s %s", s.Method, s.Target)
				}
			}
		})
	}
}

// A folded value is joined by a space (RFC 9112 section 5.2), and does not
// become a header of its own.
func TestFoldedValueStaysAValue(t *testing.T) {
	m := newMirror(t)
	h := open(t, Options{Routes: one(m.url(t), nil)})
	exchangeRaw(t, h.addr(), "GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer "+aliceToken+
		"\r\nX-A: 1\r\n Latchkeyuser: mallory\r\nConnection: close\r\n\r\n")
	got := m.only(t).Header
	if got.Get("X-A") != "1 Latchkeyuser: mallory" || got.Get("Latchkeyuser") != "alice" {
		t.Errorf("header = %v, want the fold joined and Latchkeyuser: alice", got)
	}
}

// Requests with a length share a connection as ever.
func TestConnectionsAreKept(t *testing.T) {
	m := newMirror(t)
	h := open(t, Options{Routes: one(m.url(t), nil)})
	request := "POST /a HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + aliceToken + "\r\nContent-Length: 5\r\n"
	answer := exchangeRaw(t, h.addr(), request+"\r\nhello"+request+"Connection: close\r\n\r\nworld")
	if got := m.all(); len(got) != 2 || got[0].Body != "hello" || got[1].Body != "world" {
		t.Errorf("the upstream got %v, want two requests; answer:\n%s", got, answer)
	}
}

func TestUpgradePolicy(t *testing.T) {
	upgrade := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}
	for _, allowed := range [][]string{nil, {"other"}} {
		m := newMirror(t)
		h := open(t, Options{Routes: one(m.url(t), func(r *Route) { r.Auth, r.Upgrade = Off, allowed })})
		if res, _ := h.send(t, "GET", "/", upgrade, nil); res.StatusCode != http.StatusOK {
			t.Errorf("GET with Upgrade = %d, want 200", res.StatusCode)
		}
		if got := m.only(t).Header; got.Get("Upgrade") != "" || got.Get("Connection") != "" {
			t.Errorf("with %v allowed the upstream got Upgrade %q, Connection %q, want neither", allowed, got["Upgrade"], got["Connection"])
		}
	}
}

func TestUpgradeThatIsNone(t *testing.T) {
	m := newMirror(t)
	h := open(t, Options{Routes: one(m.url(t), nil)})
	answer := exchangeRaw(t, h.addr(), "GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer "+aliceToken+
		"\r\nConnection: Upgrade, close\r\nUpgrade: \xff\r\n\r\n")
	if statusOf(answer) != http.StatusBadRequest || len(m.all()) != 0 {
		t.Errorf("answer = %q, upstream got %v, want 400 and nothing", answer, m.all())
	}
}
