package client_test

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

func TestCredential(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options client.Options
		want    string
	}{
		{"none", client.Options{}, ""},
		{"token", client.Options{Token: "lkp_test"}, "Bearer lkp_test"},
		{"password", client.Options{User: "alice", Password: "o pen: sesame"}, "Basic YWxpY2U6byBwZW46IHNlc2FtZQ=="},
		{"any name and a token", client.Options{User: "x", Password: "lkp_test"}, "Basic eDpsa3BfdGVzdA=="},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got seen
			server := recorder(t, 200, `{}`, &got)
			if _, err := newClient(t, server.URL, tt.options).WhoAmI(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got.Authorization != tt.want {
				t.Errorf("Authorization: got %q, want %q", got.Authorization, tt.want)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	const url, hidden = "https://tokens.example.org", "open-sesame"
	for _, tt := range []struct {
		name, url string
		options   client.Options
	}{
		{"no scheme", "tokens.example.org", client.Options{}},
		{"another scheme", "file:///etc/passwd", client.Options{}},
		{"no host", "https://", client.Options{}},
		{"a port without a host", "https://:8080", client.Options{}},
		{"a password in the URL", "https://alice:" + hidden + "@example.org", client.Options{}},
		{"a password in a broken URL", "https://alice:" + hidden + "@exam ple.org:x", client.Options{}},
		{"a query", url + "?token=" + hidden, client.Options{}},
		{"a fragment", url + "#" + hidden, client.Options{}},
		{"two credentials", url, client.Options{Token: hidden, User: "alice", Password: hidden}},
		{"a password without a user", url, client.Options{Password: hidden}},
		{"a colon in the user", url, client.Options{User: "a:b", Password: hidden}},
		{"a line break in the token", url, client.Options{Token: hidden + "\r\nX-Evil: 1"}},
		{"a blank in the token", url, client.Options{Token: "Bearer " + hidden}},
		{"a missing CA file", url, client.Options{CAFile: filepath.Join(t.TempDir(), "none.pem")}},
		{"a transport and a CA file", url, client.Options{CAFile: "ca.pem", Transport: http.DefaultTransport}},
	} {
		_, err := client.New(tt.url, tt.options)
		if err == nil {
			t.Errorf("New with %s: got no error", tt.name)
			continue
		}
		if strings.Contains(err.Error(), hidden) {
			t.Errorf("New with %s: the error has the secret in it: %v", tt.name, err)
		}
	}
}

func TestCAFile(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"account":"alice"}`)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // the first handshake is meant to fail
	server.StartTLS()
	t.Cleanup(server.Close)

	_, err := newClient(t, server.URL, client.Options{}).WhoAmI(t.Context())
	if !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("WhoAmI at a server with an unknown certificate: got %v, want ErrUnreachable", err)
	}

	file := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(file, block, 0o600); err != nil {
		t.Fatal(err)
	}
	me, err := newClient(t, server.URL, client.Options{CAFile: file}).WhoAmI(t.Context())
	if err != nil || me.Account != "alice" {
		t.Errorf("WhoAmI with the CA file: got %q, %v; want alice", me.Account, err)
	}

	if err := os.WriteFile(file, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := client.New(server.URL, client.Options{CAFile: file}); err == nil {
		t.Error("New with a CA file without certificates: got no error")
	}
}

func TestUserAgent(t *testing.T) {
	var agent string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		agent = r.Header.Get("User-Agent")
	}))
	t.Cleanup(server.Close)
	newClient(t, server.URL, client.Options{}).Healthy(t.Context())
	if !strings.HasPrefix(agent, "latchkey/") || agent == "latchkey/" {
		t.Errorf("User-Agent: got %q, want latchkey/ and a version", agent)
	}
	newClient(t, server.URL, client.Options{UserAgent: "robot/1"}).Healthy(t.Context())
	if agent != "robot/1" {
		t.Errorf("User-Agent: got %q, want robot/1", agent)
	}
}

// TestSecretsStayHidden has a server that repeats every secret it was sent in
// all the places that end up in errors.
func TestSecretsStayHidden(t *testing.T) {
	const token, password, fresh = "lkp_0123456789abcdef", "open sesame 1", "brand new word"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, 1000)
		n, _ := r.Body.Read(body)
		echo := r.Header.Get("Authorization") + " " + token + " " + password + " " + string(body[:n])
		switch r.URL.Query().Get("name") {
		case "header":
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\n%s\r\n\r\n", echo)
			conn.Close()
		case "type":
			w.Header().Set("Content-Type", "text/html; charset="+token+"; x=\""+token)
		case "redirect":
			http.Redirect(w, r, "http://elsewhere.test/"+token, http.StatusFound)
		case "json":
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, "{%q:", echo)
		default:
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(400)
			fmt.Fprintf(w, `{"code":"invalid","title":%[1]q,"detail":%[1]q,"field":%[1]q,"scope":%[1]q,"request_id":%[1]q}`, echo)
		}
	}))
	t.Cleanup(server.Close)

	for name, options := range map[string]client.Options{
		"token":    {Token: token},
		"password": {User: "alice", Password: password},
	} {
		c := newClient(t, server.URL, options)
		var errs []error
		for _, how := range []string{"problem", "header", "type", "redirect", "json"} {
			_, err := c.Tokens.List(t.Context(), client.TokenQuery{Name: how})
			errs = append(errs, err)
		}
		errs = append(errs,
			c.SetPassword(t.Context(), api.SetPassword{Current: password, New: fresh}),
			c.Accounts.SetPassword(t.Context(), "bob", api.SetPassword{New: fresh}),
			c.Tokens.RevokeSecret(t.Context(), fresh),
		)
		_, err := c.Accounts.Create(t.Context(), api.CreateAccount{Name: "bob", Password: fresh})
		errs = append(errs, err)
		secret := options.Token + options.Password
		for i, err := range errs {
			if err == nil {
				t.Errorf("%s, request %d: got no error", name, i)
				continue
			}
			text := fmt.Sprintf("%v %+v", err, err)
			var problem *client.Error
			if errors.As(err, &problem) {
				text += fmt.Sprintf(" %+v", problem.Problem)
			}
			for _, s := range []string{secret, fresh, "b3BlbiBzZXNhbWUg"} {
				if strings.Contains(text, s) {
					t.Errorf("%s, request %d: the error has %q in it: %s", name, i, s, text)
				}
			}
		}
		for _, shown := range []string{fmt.Sprintf("%v %+v %#v", options, options, options), fmt.Sprintf("%+v %#v", c, *c)} {
			if strings.Contains(shown, secret) {
				t.Errorf("%s: printing shows the secret: %s", name, shown)
			}
		}
	}
}
