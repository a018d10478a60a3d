package pulp

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/source"
)

var _ source.Source = (*Source)(nil)

const answer = `{"pulp_href":"/pulp/api/v3/users/7/","prn":"prn:auth.user:7","username":"alice"}`

func open(t *testing.T, opts Options) *Source {
	t.Helper()
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// pulp answers like Pulp for alice and her password.
func pulp(t *testing.T) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		username, password, _ := r.BasicAuth()
		w.Header().Set("Content-Type", "application/json")
		if r.Method != http.MethodGet || r.URL.Path != "/pulp/api/v3/login/" {
			t.Errorf("asked %s %s, want GET /pulp/api/v3/login/", r.Method, r.URL)
		}
		if username != "alice" || password != "correct horse bättery: 🔑" {
			w.Header().Set("WWW-Authenticate", `Basic realm="api"`)
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"detail":"Invalid username/password."}`)
			return
		}
		_, _ = io.WriteString(w, answer)
	})
}

func TestLogin(t *testing.T) {
	server := httptest.NewServer(pulp(t))
	defer server.Close()
	s := open(t, Options{URL: server.URL + "/"})
	if got := s.Name(); got != "pulp" {
		t.Errorf("Name = %q, want pulp", got)
	}
	got, err := s.Login(t.Context(), "alice", "correct horse bättery: 🔑")
	want := source.Subject{ID: "prn:auth.user:7", Username: "alice"}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Login = %v, and (-want +got):\n%s", err, diff)
	}
	for _, tc := range [][2]string{{"alice", "wrong"}, {"bob", "correct horse bättery: 🔑"}} {
		if got, err := s.Login(t.Context(), tc[0], tc[1]); !errors.Is(err, source.ErrRefused) || got != (source.Subject{}) {
			t.Errorf("Login(%q, %q) = %+v, %v; want ErrRefused", tc[0], tc[1], got, err)
		}
	}
}

// Nothing is sent but what is needed, above all no header that names a user.
func TestHeaders(t *testing.T) {
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name := range r.Header {
			got = append(got, name)
		}
		_, _ = io.WriteString(w, answer)
	}))
	defer server.Close()
	if _, err := open(t, Options{URL: server.URL}).Login(t.Context(), "alice", "pw"); err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"Accept", "Authorization", "User-Agent"}, got); diff != "" {
		t.Errorf("headers sent (-want +got):\n%s", diff)
	}
}

// S71: what is empty is refused, here without asking; so is what Basic
// authentication cannot carry.
func TestNotSent(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = io.WriteString(w, answer)
	}))
	defer server.Close()
	s := open(t, Options{URL: server.URL})
	for _, tc := range [][2]string{
		{"", "pw"}, {"alice", ""}, {"", ""}, {"al:ice", "pw"}, {":", "pw"},
		{"alice\n", "pw"}, {"alice\x00", "pw"}, {"alice\u0085", "pw"}, {"alice", "p\r\nw"}, {"alice", "\x7f"},
		{"alice\xff", "pw"}, {"alice", "p\xffw"},
		{strings.Repeat("a", maxCredential+1), "pw"}, {"alice", strings.Repeat("a", maxCredential+1)},
	} {
		if got, err := s.Login(t.Context(), tc[0], tc[1]); !errors.Is(err, source.ErrRefused) || got != (source.Subject{}) {
			t.Errorf("Login(%.20q, %.20q) = %+v, %v; want ErrRefused", tc[0], tc[1], got, err)
		}
	}
	if got := asked.Load(); got != 0 {
		t.Errorf("%d requests were sent, want none", got)
	}
}

// Only what Pulp itself answers counts, and redirects are not followed (S113).
func TestStatuses(t *testing.T) {
	var status int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/pulp/api/v3/login/" {
			t.Errorf("a redirect was followed to %s", r.URL)
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	defer server.Close()
	s := open(t, Options{URL: server.URL})
	want := map[int]error{401: source.ErrRefused, 403: source.ErrRefused}
	for _, status = range []int{201, 204, 206, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 407, 429, 500, 502, 503, 504} {
		if want[status] == nil {
			want[status] = source.ErrUnavailable
		}
		if got, err := s.Login(t.Context(), "alice", "pw"); !errors.Is(err, want[status]) || got != (source.Subject{}) {
			t.Errorf("status %d: Login = %+v, %v; want %v", status, got, err, want[status])
		}
	}
}

func TestAnswers(t *testing.T) {
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, body)
	}))
	defer server.Close()
	s := open(t, Options{URL: server.URL})
	for _, tc := range []struct{ body, id, username string }{
		{answer, "prn:auth.user:7", "alice"},
		{`{"prn":"prn:galaxy.user:7","username":"Alice","pulp_href":"/x/","more":[1]}` + "\n", "prn:galaxy.user:7", "Alice"},
		// An old Pulp: the id is the one that it will send later.
		{`{"pulp_href":"/pulp/api/v3/users/7/","username":"alice"}`, "prn:auth.user:7", "alice"},
		{`{"pulp_href":"/elsewhere/dom/api/v3/users/7/","prn":null,"username":"alice"}`, "prn:auth.user:7", "alice"},
		{`{"pulp_href":"/pulp/api/v3/people/7/","username":"alice"}`, "/pulp/api/v3/people/7/", "alice"},
		{`{"pulp_href":"/pulp/api/v3/users/7/roles/","username":"alice"}`, "/pulp/api/v3/users/7/roles/", "alice"},
		// Lies and nonsense.
		{``, "", ""},
		{`null`, "", ""},
		{`[]`, "", ""},
		{`"alice"`, "", ""},
		{`<html>alice</html>`, "", ""},
		{`{}`, "", ""},
		{answer + answer, "", ""},
		{answer[:len(answer)-1], "", ""},
		{`{"prn":"prn:auth.user:7"}`, "", ""},
		{`{"prn":"prn:auth.user:7","username":""}`, "", ""},
		{`{"prn":"prn:auth.user:7","username":null}`, "", ""},
		{`{"prn":"prn:auth.user:7","username":["alice"]}`, "", ""},
		{`{"prn":"prn:auth.user:1","username":"admin"}`, "", ""},
		{`{"prn":"prn:auth.user:7","username":"alice\u0000"}`, "", ""},
		{`{"username":"alice"}`, "", ""},
		{`{"prn":"","pulp_href":"","username":"alice"}`, "", ""},
		{`{"prn":7,"username":"alice"}`, "", ""},
		{`{"prn":"prn:auth.user:7\n","username":"alice"}`, "", ""},
		{`{"prn":"prn auth","username":"alice"}`, "", ""},
		{`{"prn":"` + strings.Repeat("p", 2000) + `","username":"alice"}`, "", ""},
		{`{"prn":"prn:auth.user:7","username":"alice","x":"` + strings.Repeat("x", maxBody) + `"}`, "", ""},
		{strings.Repeat("[", maxBody), "", ""},
	} {
		body = tc.body
		got, err := s.Login(t.Context(), "alice", "pw")
		if want := (source.Subject{ID: tc.id, Username: tc.username}); got != want {
			t.Errorf("answer %.80q: Login = %+v, want %+v", tc.body, got, want)
		}
		if (tc.id == "") != errors.Is(err, source.ErrUnavailable) || (tc.id != "" && err != nil) {
			t.Errorf("answer %.80q: Login = %v, want ErrUnavailable if nothing else", tc.body, err)
		}
	}
}

// speak is a server that reads one request and does something odd with the
// connection.
func speak(t *testing.T, odd func(c net.Conn, authorization string)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				req, err := http.ReadRequest(bufio.NewReader(c))
				if err != nil {
					return
				}
				odd(c, req.Header.Get("Authorization"))
			}()
		}
	}()
	return "http://" + listener.Addr().String()
}

// Servers that die, lie and echo: the answer is ErrUnavailable, and its text
// has neither the password nor what it was sent as.
func TestBrokenServers(t *testing.T) {
	const password = "hunter-two-and-more"
	sent := base64.StdEncoding.EncodeToString([]byte("alice:" + password))
	both := func(text string, args ...any) func(net.Conn, string) {
		return func(c net.Conn, auth string) {
			_, _ = fmt.Fprint(c, strings.NewReplacer("AUTH", auth, "PASSWORD", password, "CRLF", "\r\n").Replace(text))
		}
	}
	for name, odd := range map[string]func(net.Conn, string){
		"closes at once":        func(net.Conn, string) {},
		"dies in the status":    both("HTTP/1.1 20"),
		"dies in the headers":   both("HTTP/1.1 200 OKCRLFContent-Length: 50CRLF"),
		"dies in the body":      both("HTTP/1.1 200 OKCRLFContent-Length: 500CRLFCRLF" + answer),
		"dies in a chunk":       both("HTTP/1.1 200 OKCRLFTransfer-Encoding: chunkedCRLFCRLF50CRLF" + answer[:20]),
		"malformed chunk":       both("HTTP/1.1 200 OKCRLFTransfer-Encoding: chunkedCRLFCRLFAUTH PASSWORDCRLF"),
		"echoes as status":      both("AUTH PASSWORDCRLFCRLF"),
		"echoes as code":        both("HTTP/1.1 PASSWORD AUTHCRLFCRLF"),
		"echoes as header":      both("HTTP/1.1 200 OKCRLFAUTH PASSWORDCRLFCRLF"),
		"echoes as length":      both("HTTP/1.1 200 OKCRLFContent-Length: PASSWORDCRLFCRLF"),
		"echoes as encoding":    both("HTTP/1.1 200 OKCRLFTransfer-Encoding: AUTH PASSWORDCRLFCRLF"),
		"echoes as location":    both("HTTP/1.1 302 FoundCRLFLocation: http://PASSWORD:x@%%%/CRLFContent-Length: 0CRLFCRLF"),
		"echoes as body":        both("HTTP/1.1 200 OKCRLFConnection: closeCRLFCRLF{\"username\": PASSWORD AUTH}"),
		"echoes as username":    both("HTTP/1.1 200 OKCRLFConnection: closeCRLFCRLF{\"username\":\"PASSWORD\",\"prn\":\"AUTH\"}"),
		"headers without end":   both("HTTP/1.1 200 OKCRLF" + strings.Repeat("X-Filler: "+strings.Repeat("x", 1000)+"CRLF", 200)),
		"another protocol":      both("SSH-2.0-OpenSSH_9.2CRLF"),
		"switches the protocol": both("HTTP/1.1 101 SwitchingCRLFUpgrade: PASSWORDCRLFConnection: UpgradeCRLFCRLF"),
		"hints for ever":        both(strings.Repeat("HTTP/1.1 103 Early HintsCRLFCRLF", 100)),
	} {
		got, err := open(t, Options{URL: speak(t, odd)}).Login(t.Context(), "alice", password)
		if !errors.Is(err, source.ErrUnavailable) || got != (source.Subject{}) {
			t.Errorf("%s: Login = %+v, %v; want ErrUnavailable", name, got, err)
			continue
		}
		if text := err.Error(); strings.Contains(text, password) || strings.Contains(text, sent) {
			t.Errorf("%s: the error tells the password: %s", name, text)
		}
	}
}

func TestHanging(t *testing.T) {
	for name, before := range map[string]string{
		"before the status":  "",
		"in the headers":     "HTTP/1.1 200 OK\r\n",
		"in the body":        "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{",
		"in a refusal's end": "HTTP/1.1 401 Unauthorized\r\nContent-Length: 500\r\n\r\n{",
	} {
		release := make(chan struct{})
		url := speak(t, func(c net.Conn, _ string) {
			_, _ = io.WriteString(c, before)
			<-release
		})
		timeout, want := 50*time.Millisecond, source.ErrUnavailable
		if strings.Contains(before, "401") {
			// It has said so, after all, if only it is given the time to.
			timeout, want = 2*time.Second, source.ErrRefused
		}
		got, err := open(t, Options{URL: url, Timeout: timeout}).Login(t.Context(), "alice", "pw")
		if !errors.Is(err, want) || got != (source.Subject{}) {
			t.Errorf("hangs %s: Login = %+v, %v; want %v", name, got, err, want)
		}
		close(release)
	}
}

func TestCallerGivesUp(t *testing.T) {
	release, asked := make(chan struct{}), make(chan struct{})
	url := speak(t, func(net.Conn, string) {
		close(asked)
		<-release
	})
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	_, err := open(t, Options{URL: url}).Login(ctx, "alice", "pw")
	if !errors.Is(err, source.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("Login = %v, want ErrUnavailable and context.Canceled", err)
	}
}

func TestNobodyThere(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	for _, url := range []string{
		"http://" + listener.Addr().String(),
		"unix:" + filepath.Join(t.TempDir(), "none.sock"),
	} {
		if _, err := open(t, Options{URL: url}).Login(t.Context(), "alice", "pw"); !errors.Is(err, source.ErrUnavailable) {
			t.Errorf("%s: Login = %v, want ErrUnavailable", url, err)
		}
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(pulp(t))
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	defer server.Close()
	for _, url := range []string{"unix:" + path, "unix://" + path} {
		got, err := open(t, Options{URL: url}).Login(t.Context(), "alice", "correct horse bättery: 🔑")
		if err != nil || got.ID != "prn:auth.user:7" {
			t.Errorf("%s: Login = %+v, %v; want prn:auth.user:7", url, got, err)
		}
	}
}

func TestTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(pulp(t))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of the handshakes that fail
	server.StartTLS()
	defer server.Close()
	trusting := open(t, Options{URL: server.URL, TLS: server.Client().Transport.(*http.Transport).TLSClientConfig})
	if _, err := trusting.Login(t.Context(), "alice", "correct horse bättery: 🔑"); err != nil {
		t.Errorf("Login = %v, want nil", err)
	}
	_, err := open(t, Options{URL: server.URL}).Login(t.Context(), "alice", "pw")
	if !errors.Is(err, source.ErrUnavailable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("Login under a certificate of nobody = %v, want ErrUnavailable about the certificate", err)
	}
	plain := httptest.NewServer(pulp(t))
	defer plain.Close()
	_, err = open(t, Options{URL: strings.Replace(plain.URL, "http:", "https:", 1)}).Login(t.Context(), "alice", "pw")
	if !errors.Is(err, source.ErrUnavailable) {
		t.Errorf("Login with https at a server without = %v, want ErrUnavailable", err)
	}
}

func TestURLs(t *testing.T) {
	for _, tc := range []struct{ url, root, want string }{
		{"http://pulp:24817", "", "http://pulp:24817/pulp/api/v3/login/"},
		{"http://pulp:24817/", "/pulp/dom/api/v3", "http://pulp:24817/pulp/dom/api/v3/login/"},
		{"https://example.org/below/", "api/v3/", "https://example.org/below/api/v3/login/"},
		{"unix:/run/pulp.sock", "/", "http://localhost/login/"},
	} {
		s, err := New(Options{URL: tc.url, APIRoot: tc.root})
		if err != nil || s.login != tc.want {
			t.Errorf("New(%q, %q): login at %v, %v; want %q", tc.url, tc.root, s, err, tc.want)
		}
	}
	for _, tc := range []struct{ url, root string }{
		{"", ""}, {"pulp:24817", ""}, {"ftp://pulp", ""}, {"http://", ""}, {"http://%zz", ""},
		{"unix:", ""}, {"unix:///", ""},
		{"http://admin:hidden@pulp", ""}, {"http://pulp/?a=b", ""}, {"http://pulp/#f", ""}, {"http://pulp/?", ""},
		{"http://admin:hidden@pulp:port", ""},
		{"http://pulp", "/api?x="}, {"http://pulp", "/api#"}, {"http://pulp", "/api/\n"}, {"http://pulp", "/%2e%2e/"},
	} {
		_, err := New(Options{URL: tc.url, APIRoot: tc.root})
		if err == nil || strings.Contains(err.Error(), "hidden") {
			t.Errorf("New(%q, %q) = %v, want an error without the password", tc.url, tc.root, err)
		}
	}
}

func FuzzParseAnswer(f *testing.F) {
	f.Add([]byte(answer), "alice")
	f.Add([]byte(`{"pulp_href":"/pulp/api/v3/users/7/","username":"ALICE"}`), "alice")
	f.Add([]byte(`{"username":1}`), "")
	f.Fuzz(func(t *testing.T, body []byte, asked string) {
		got, err := parseAnswer(body, asked)
		if err == nil && (got.ID == "" || got.Username == "" || !sameName(got.Username, asked)) {
			t.Errorf("parseAnswer(%q, %q) = %+v", body, asked, got)
		}
	})
}
