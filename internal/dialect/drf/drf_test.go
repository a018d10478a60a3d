package drf_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/dialect/drf"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// failing stands for a core of which each part can fail.
type failing struct {
	login, standing, check error

	asked tokens.Request // of the last token
}

func (f *failing) Login(context.Context, string, secret.Text) (*identity.Identity, error) {
	if f.login != nil {
		return nil, f.login
	}
	return &identity.Identity{AccountID: "acc_1", Name: "alice"}, nil
}

func (f *failing) Standing(_ context.Context, _ *identity.Identity, _ string, _ tokens.Form, r tokens.Request) (tokens.Issued, error) {
	f.asked = r
	return tokens.Issued{Secret: secret.New("the-token")}, f.standing
}

func (f *failing) Check(context.Context, tokens.Presented) (*identity.Identity, error) {
	return nil, f.check
}

func TestFailures(t *testing.T) {
	const (
		noLogin = `{"non_field_errors":["Unable to log in with provided credentials."]}`
		later   = `{"detail":"Service temporarily unavailable, try again later."}`
		broken  = `{"detail":"A server error occurred."}`
	)
	down := fault.Unavailablef(errors.New("dial tcp: refused"), "the database does not answer")
	for _, test := range []struct {
		name   string
		core   failing
		status int
		retry  string
		body   string
		logged bool
	}{
		{"no fault", failing{}, 200, "", `{"token":"the-token"}`, false},
		{"wrong password", failing{login: fault.Unauthenticatedf("no")}, 400, "", noLogin, false},
		{"too many attempts", failing{login: fault.TooOften(61 * time.Second)}, 429, "61", `{"detail":"Request was throttled. Expected available in 61 seconds."}`, false},
		{"no database for the login", failing{login: down}, 503, "1", later, true}, // S89
		{"no database for the token", failing{standing: down}, 503, "1", later, true},
		{"no database for the header", failing{check: down}, 503, "1", later, true},
		{"a bug in the login", failing{login: errors.New("open /secret/path: denied")}, 500, "", broken, true}, // S112
		{"a bug in the core", failing{standing: errors.New("oops")}, 500, "", broken, true},
		{"password changed meanwhile", failing{standing: fault.Unauthenticatedf("revoked")}, 400, "", noLogin, false},
		{"account disabled meanwhile", failing{standing: fault.Conflictf("disabled")}, 400, "", noLogin, false},
		{"account deleted meanwhile", failing{standing: fault.NotFoundf("gone")}, 400, "", noLogin, false},
		{"as many tokens as there may be", failing{standing: fault.Limitf("1000 tokens")}, 403, "", `{"detail":"1000 tokens"}`, false},
		{"no right to make tokens", failing{standing: fault.Needs("latchkey:tokens:write")}, 403, "", `{"detail":"You do not have permission to perform this action."}`, false},
		{"a life that the rules forbid", failing{standing: fault.Invalidf("expires_in", "is too long")}, 500, "", broken, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var log bytes.Buffer
			h := drf.New(drf.Options{}, &test.core, &test.core, slog.New(slog.NewTextHandler(&log, nil)))
			r := httptest.NewRequest("POST", drf.DefaultPath, strings.NewReader(`{"username":"alice","password":"planted-secret"}`))
			r.Header.Set("Content-Type", "application/json")
			if test.core.check != nil {
				r.Header.Set("Authorization", "Token planted-secret")
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != test.status || w.Body.String() != test.body || w.Header().Get("Retry-After") != test.retry {
				t.Errorf("got %d %s and Retry-After %q, want %d %s and %q",
					w.Code, w.Body, w.Header().Get("Retry-After"), test.status, test.body, test.retry)
			}
			if logged := log.Len() > 0; logged != test.logged || strings.Contains(log.String(), "planted-secret") {
				t.Errorf("the log has %q, want it to say something: %v", log.String(), test.logged)
			}
		})
	}
}

// Without options the token lives as the original's do: without end.
func TestLifeOfDefault(t *testing.T) {
	var core failing
	h := drf.New(drf.Options{}, &core, &core, slog.New(slog.DiscardHandler))
	r := httptest.NewRequest("POST", drf.DefaultPath, strings.NewReader("username=alice&password=x"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	h.ServeHTTP(httptest.NewRecorder(), r)
	if a := core.asked; a.Name == "" || a.ExpiresIn == nil || *a.ExpiresIn != 0 || a.IdleAfter == nil || *a.IdleAfter != 0 {
		t.Errorf("the core is asked for %+v, want a name and a token without end", core.asked)
	}
}
