package extauthz

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/web"
)

// fake answers as it is told, and remembers the question.
type fake struct {
	status int
	header http.Header
	text   string

	asked gateway.Question
	from  audit.Request
}

func (f *fake) Answer(ctx context.Context, q gateway.Question, h http.Header) (int, string) {
	f.asked, f.from = q, audit.FromContext(ctx)
	for name, values := range f.header {
		h[name] = values
	}
	return f.status, f.text
}

var yes = http.Header{
	"Cache-Control": {"no-store"}, "Latchkeyuser": {"alice"}, "Latchkeytoken": {"tok_1"}, "Latchkeyscope": {"path:/x:read"},
}

// dial serves GRPC and returns the official client for it.
func dial(t testing.TB, f *fake) auth.AuthorizationClient {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	srv := &http.Server{Handler: web.Identify(nil, GRPC(f)), Protocols: protocols}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return auth.NewAuthorizationClient(conn)
}

// request is what Envoy sends, in the official messages.
func request(method, path string, headers ...string) *auth.CheckRequest {
	raw := &core.HeaderMap{}
	for i := 0; i < len(headers); i += 2 {
		raw.Headers = append(raw.Headers, &core.HeaderValue{Key: headers[i], RawValue: []byte(headers[i+1])})
	}
	return &auth.CheckRequest{Attributes: &auth.AttributeContext{
		Source: &auth.AttributeContext_Peer{Address: &core.Address{Address: &core.Address_SocketAddress{
			SocketAddress: &core.SocketAddress{Address: "::ffff:192.0.2.7", PortSpecifier: &core.SocketAddress_PortValue{PortValue: 4711}},
		}}},
		Request: &auth.AttributeContext_Request{Http: &auth.AttributeContext_HttpRequest{
			Method: method, Path: path, Host: "files.example.com", Scheme: "https", Protocol: "HTTP/1.1", HeaderMap: raw,
		}},
	}}
}

func TestYesOverGRPC(t *testing.T) {
	f := &fake{status: http.StatusOK, header: yes}
	client := dial(t, f)
	res, err := client.Check(t.Context(), request("GET", "/x?y=z", "authorization", "Bearer t", ":path", "/x", "user-agent", "curl/8",
		"latchkeyuser", "admin", "latchkey-user", "admin", "latchkey_stale", "1", "x-own", "kept"))
	if err != nil || res.GetStatus().GetCode() != int32(codes.OK) || res.GetOkResponse() == nil {
		t.Fatalf("Check() = %v, %v, want a yes", res, err)
	}
	q := f.asked
	if q.Method != "GET" || q.Target != "/x?y=z" || q.Host != "files.example.com" || q.Peer != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("the question is %+v, want the request that was described, asked by this machine", q)
	}
	if got := q.Header["Authorization"]; !slices.Equal(got, []string{"Bearer t"}) || q.Header[":path"] != nil {
		t.Errorf("the question has the headers %v, want those of the request", q.Header)
	}
	if f.from.Addr != netip.MustParseAddr("192.0.2.7") || f.from.Agent != "curl/8" || f.from.RequestID == "" || f.from.Path != "/x" { // S84
		t.Errorf("the request is noted as %+v, want the client's address", f.from)
	}
	set := map[string]string{}
	for _, o := range res.GetOkResponse().GetHeaders() {
		if o.GetAppendAction() != core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD {
			t.Errorf("%v is added to what the client sent", o)
		}
		set[o.GetHeader().GetKey()] = o.GetHeader().GetValue()
	}
	want := map[string]string{"latchkeyuser": "alice", "latchkeytoken": "tok_1", "latchkeyscope": "path:/x:read"}
	if diff := cmp.Diff(want, set); diff != "" {
		t.Errorf("headers for the service (-want +got):\n%s", diff)
	}
	// S86: every other spelling goes, and so does the credential.
	if diff := cmp.Diff([]string{"authorization", "latchkey-user", "latchkey_stale"}, res.GetOkResponse().GetHeadersToRemove()); diff != "" {
		t.Errorf("headers to remove (-want +got):\n%s", diff)
	}
}

func TestNoOverGRPC(t *testing.T) {
	f := &fake{status: http.StatusUnauthorized, text: "no\n", header: http.Header{"Www-Authenticate": {"Bearer x", "Basic y"}, "Cache-Control": {"no-store"}}}
	client := dial(t, f)
	res, err := client.Check(t.Context(), request("GET", "/x", "latchkeyuser", "admin"))
	if err != nil || res.GetStatus().GetCode() != int32(codes.PermissionDenied) || res.GetOkResponse() != nil {
		t.Fatalf("Check() = %v, %v, want a no", res, err)
	}
	denied := res.GetDeniedResponse()
	var challenges []string
	for _, o := range denied.GetHeaders() {
		challenges = append(challenges, o.GetHeader().GetKey()+": "+o.GetHeader().GetValue())
	}
	if diff := cmp.Diff([]string{"www-authenticate: Bearer x", "www-authenticate: Basic y"}, challenges); diff != "" {
		t.Errorf("headers for the client (-want +got):\n%s", diff)
	}
	if denied.GetStatus().GetCode() != 401 || denied.GetBody() != "no\n" {
		t.Errorf("the answer for the client is %v, want 401 no", denied)
	}
}

// S88, S89: whatever is not a described request, or not a yes, is none.
func TestOddAnswersAndQuestions(t *testing.T) {
	f := &fake{status: http.StatusOK, header: yes}
	client := dial(t, f)
	for _, code := range []int{0, 100, 201, 204, 302, 400, 403, 429, 500, 503} {
		f.status = code
		res, err := client.Check(t.Context(), request("GET", "/x"))
		if err != nil || res.GetOkResponse() != nil || res.GetStatus().GetCode() == int32(codes.OK) {
			t.Errorf("Check() with the answer %d = %v, %v, want a no", code, res, err)
		}
	}
	f.status = http.StatusOK
	if _, err := client.Check(t.Context(), &auth.CheckRequest{}); err != nil || f.asked.Target != notPath || f.asked.Method != "" {
		t.Errorf("Check() of nothing asks %+v (%v), want what cannot be taken for a path", f.asked, err)
	}
	if f.from.Addr.IsValid() {
		t.Errorf("Check() of nothing comes from %v, want nowhere", f.from.Addr)
	}
	if _, err := client.Check(t.Context(), request("GET", "/"+strings.Repeat("x", maxMessage))); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("Check() of a message that is too long = %v, want %v", err, codes.ResourceExhausted)
	}
	if _, err := client.Check(t.Context(), request("GET", "/x"), grpc.CallContentSubtype("json")); err == nil {
		t.Error("Check() in JSON = nil, want an error")
	}
	twice := request("GET", "/x", "authorization", "Bearer a", "authorization", "Bearer b")
	if _, err := client.Check(t.Context(), twice); err != nil || len(f.asked.Header["Authorization"]) != 2 { // S62
		t.Errorf("two credentials arrive as %v (%v), want two", f.asked.Header["Authorization"], err)
	}
}

// post sends a body to the handler as HTTP/2 would bring it.
func post(f *fake, path, media string, body []byte) *http.Response {
	r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
	r.ProtoMajor, r.ProtoMinor = 2, 0
	r.Header.Set("Content-Type", media)
	w := httptest.NewRecorder()
	GRPC(f).ServeHTTP(w, r)
	return w.Result()
}

func TestNotGRPC(t *testing.T) {
	message, err := proto.Marshal(request("GET", "/x"))
	if err != nil {
		t.Fatal(err)
	}
	good := framed(message)
	f := &fake{status: http.StatusOK, header: yes}
	tests := map[string]struct {
		path, media string
		body        []byte
		want        string // the status of gRPC; "": none
	}{
		"good":               {Method, "application/grpc", good, "0"},
		"another method":     {"/envoy.service.auth.v2.Authorization/Check", "application/grpc", good, "12"},
		"another type":       {Method, "application/json", good, ""},
		"no message":         {Method, "application/grpc", nil, "3"},
		"half a head":        {Method, "application/grpc", good[:3], "3"},
		"half a message":     {Method, "application/grpc", good[:len(good)-1], "3"},
		"two messages":       {Method, "application/grpc", append(slices.Clip(good), good...), "3"},
		"compressed":         {Method, "application/grpc", append([]byte{1}, good[1:]...), "12"},
		"endless":            {Method, "application/grpc", binary.BigEndian.AppendUint32([]byte{0}, 1<<31), "8"},
		"no Protocol Buffer": {Method, "application/grpc", framed([]byte{0xff, 0xff}), "3"},
	}
	for name, tt := range tests {
		res := post(f, tt.path, tt.media, tt.body)
		body, _ := io.ReadAll(res.Body)
		if got := res.Trailer.Get("Grpc-Status"); got != tt.want || (tt.want != "0" && tt.want != "" && len(body) > 0) {
			t.Errorf("%s: status %q and %d bytes, want %q", name, got, len(body), tt.want)
		}
	}
}

func TestHTTP(t *testing.T) {
	peers := web.Peers{netip.MustParsePrefix("127.0.0.1/32")}
	f := &fake{}
	tests := []struct {
		target, forwarded, remote string
		want                      string // the target that is asked about
		addr                      string // the client's address; "": not known
	}{
		{"/latchkey/envoy/x?y=z", "192.0.2.7", "127.0.0.1:1", "/x?y=z", "192.0.2.7"},
		{"/latchkey/envoy/%2e%2e/x", "192.0.2.7, 127.0.0.1", "127.0.0.1:1", "/%2e%2e/x", "192.0.2.7"},
		{"/latchkey/envoy//x", "127.0.0.1", "127.0.0.1:1", "//x", ""}, // S84: it may be the proxy's own
		{"/latchkey/envoy/x", "", "127.0.0.1:1", "/x", ""},
		{"/latchkey/%65nvoy/x", "", "127.0.0.1:1", notPath, ""},
		{"/latchkey/envoyx", "", "127.0.0.1:1", "x", ""},
		{"/latchkey/envoy", "", "127.0.0.1:1", notPath, ""},
		{"http://files.example.com/latchkey/envoy/x", "", "127.0.0.1:1", notPath, ""},
	}
	for _, tt := range tests {
		for _, code := range []int{http.StatusOK, http.StatusForbidden} {
			f.status, f.text = code, "because\n"
			r := httptest.NewRequest(http.MethodDelete, tt.target, nil)
			r.RequestURI, r.RemoteAddr = tt.target, tt.remote
			r.Header.Set("X-Original-Uri", "/public")
			if tt.forwarded != "" {
				r.Header.Set("X-Forwarded-For", tt.forwarded)
			}
			w := httptest.NewRecorder()
			web.Identify(peers, HTTP(f, peers)).ServeHTTP(w, r)
			if f.asked.Method != http.MethodDelete || f.asked.Target != tt.want || w.Code != code {
				t.Errorf("%s asks for %s %q and answers %d, want DELETE %q, %d", tt.target, f.asked.Method, f.asked.Target, w.Code, tt.want, code)
			}
			var want netip.Addr
			if tt.addr != "" {
				want = netip.MustParseAddr(tt.addr)
			}
			if f.from.Addr != want {
				t.Errorf("%s for %q comes from %v, want %q", tt.target, tt.forwarded, f.from.Addr, tt.addr)
			}
		}
	}
}

// FuzzReadCheck compares the reader with the official one (S61): what both can
// read is read alike, and nothing makes it panic.
func FuzzReadCheck(f *testing.F) {
	for _, r := range []*auth.CheckRequest{{}, request("GET", "/x?y", "authorization", "Bearer t"), request("", "")} {
		b, err := proto.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, message []byte) {
		got, err := readCheck(message)
		official := &auth.CheckRequest{}
		if proto.Unmarshal(message, official) != nil || err != nil {
			return
		}
		h := official.GetAttributes().GetRequest().GetHttp()
		want := asked{method: h.GetMethod(), path: h.GetPath(), host: h.GetHost()}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(asked{}), cmpopts.IgnoreFields(asked{}, "source", "header")); diff != "" {
			t.Errorf("readCheck(%x), -official +got:\n%s", message, diff)
		}
	})
}
