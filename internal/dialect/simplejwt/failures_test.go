package simplejwt_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/dialect/simplejwt"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// failing stands for a core of which each part can fail.
type failing struct {
	login, issue, refresh, inspect, revoke error

	said  tokens.Signed      // what Inspect reads
	asked tokens.PairRequest // of the last pair
}

func (f *failing) Login(context.Context, string, secret.Text) (*identity.Identity, error) {
	if f.login != nil {
		return nil, f.login
	}
	return &identity.Identity{AccountID: "acc_1", Name: "alice"}, nil
}

func (f *failing) IssuePair(_ context.Context, _ *identity.Identity, r tokens.PairRequest) (tokens.Pair, error) {
	f.asked = r
	return made, f.issue
}

func (f *failing) RefreshPair(context.Context, tokens.RefreshRequest) (tokens.Pair, error) {
	return made, f.refresh
}

func (f *failing) Inspect(context.Context, string) (tokens.Signed, error) { return f.said, f.inspect }
func (f *failing) RevokeSecret(context.Context, string) error             { return f.revoke }

var made = tokens.Pair{Access: secret.New("the-access"), Refresh: secret.New("the-refresh")}

// Whatever fails, a client gets an answer in the words of the dialect, and
// never a token.
func TestFailures(t *testing.T) {
	const (
		noLogin = `{"detail":"No active account found with the given credentials"}`
		invalid = `{"detail":"Token is invalid","code":"token_not_valid"}`
		later   = `{"detail":"Service temporarily unavailable, try again later."}`
		broken  = `{"detail":"A server error occurred."}`
	)
	down := fault.Unavailablef(errors.New("dial tcp: refused"), "the database does not answer")
	good := tokens.Signed{Kind: tokens.SignedRefresh, ID: "x"}
	for _, test := range []struct {
		name, path string
		core       failing
		status     int
		retry      string
		body       string
		logged     bool
	}{
		{"no fault", "/api/token/", failing{}, 200, "", `{"refresh":"the-refresh","access":"the-access"}`, false},
		{"wrong password", "/api/token/", failing{login: fault.Unauthenticatedf("no")}, 401, "", noLogin, false},
		{"too many attempts", "/api/token/", failing{login: fault.TooOften(61 * time.Second)}, 429, "61", `{"detail":"Request was throttled. Expected available in 61 seconds."}`, false},
		{"no database for the login", "/api/token/", failing{login: down}, 503, "1", later, true}, // S89
		{"no database for the pair", "/api/token/sliding", failing{issue: down}, 503, "1", later, true},
		{"a bug in the login", "/api/token/", failing{login: errors.New("open /secret/path: denied")}, 500, "", broken, true}, // S112
		{"password changed meanwhile", "/api/token/", failing{issue: fault.Unauthenticatedf("revoked")}, 401, "", noLogin, false},
		{"account disabled meanwhile", "/api/token/sliding/", failing{issue: fault.Conflictf("disabled")}, 401, "", noLogin, false},
		{"account deleted meanwhile", "/api/token/", failing{issue: fault.NotFoundf("gone")}, 401, "", noLogin, false},
		{"as many tokens as there may be", "/api/token/", failing{issue: fault.Limitf("1000 tokens")}, 403, "", `{"detail":"1000 tokens"}`, false},
		{"a life that the rules forbid", "/api/token/", failing{issue: fault.Invalidf("expires_in", "is too long")}, 500, "", broken, true},
		{"no database for refreshing", "/api/token/refresh/", failing{refresh: down}, 503, "1", later, true},
		{"no database for sliding", "/api/token/sliding/refresh/", failing{refresh: down}, 503, "1", later, true},
		{"from an address that may not", "/api/token/refresh/", failing{refresh: &tokens.Refusal{Reason: tokens.ReasonAddress}}, 401, "", invalid, false},
		{"for a reason that is new", "/api/token/refresh/", failing{refresh: &tokens.Refusal{Reason: "new"}}, 401, "", invalid, false},
		{"no database for verify", "/api/token/verify/", failing{inspect: down}, 503, "1", later, true},
		{"a bug in verify", "/api/token/verify/", failing{inspect: errors.New("oops")}, 500, "", broken, true},
		{"no database for the blacklist", "/api/token/blacklist/", failing{said: good, revoke: down}, 503, "1", later, true},
		{"no database to look the token up", "/api/token/blacklist/", failing{said: good, inspect: down}, 503, "1", later, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var log bytes.Buffer
			h := simplejwt.New(simplejwt.Options{}, &test.core, &test.core, slog.New(slog.NewTextHandler(&log, nil)))
			const token = "eyJ.planted-secret-planted-secret-planted-secret."
			r := httptest.NewRequest("POST", test.path, strings.NewReader(
				`{"username":"alice","password":"planted-secret","refresh":"`+token+`","token":"`+token+`"}`))
			r.Header.Set("Content-Type", "application/json")
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

// Without options the rules of a family are the original's, and with rotation
// it has an end that no refreshing moves (S25).
func TestTerms(t *testing.T) {
	for _, test := range []struct {
		path string
		opts simplejwt.Options
		life time.Duration
		want tokens.Terms
	}{
		{"/api/token/", simplejwt.Options{}, 24 * time.Hour, tokens.Terms{
			ClientID: "simplejwt", Access: 5 * time.Minute, SignedRefresh: true, KeepRefresh: true,
		}},
		{"/api/token/sliding/", simplejwt.Options{}, 24 * time.Hour, tokens.Terms{
			ClientID: "simplejwt-sliding", Access: 5 * time.Minute, Refresh: 24 * time.Hour, Sliding: true,
		}},
		{"/api/token/", simplejwt.Options{Rotate: true, Again: time.Second}, 30 * 24 * time.Hour, tokens.Terms{
			ClientID: "simplejwt", Access: 5 * time.Minute, Refresh: 24 * time.Hour, SignedRefresh: true, Leeway: time.Second, Replays: 20,
		}},
	} {
		var core failing
		h := simplejwt.New(test.opts, &core, &core, slog.New(slog.DiscardHandler))
		r := httptest.NewRequest("POST", test.path, strings.NewReader("username=alice&password=x"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		h.ServeHTTP(httptest.NewRecorder(), r)
		test.want.Shape = simplejwt.ShapeName
		a := core.asked
		if a.Terms == nil || a.ExpiresIn == nil || a.IdleAfter == nil {
			t.Fatalf("%s %+v: the core is asked for %+v, want terms, a life and no idling", test.path, test.opts, a)
		}
		if diff := cmp.Diff(test.want, *a.Terms); diff != "" || *a.ExpiresIn != test.life || *a.IdleAfter != 0 {
			t.Errorf("%s: the family lives %v, %v without use, by other terms (-want +got):\n%s", test.path, *a.ExpiresIn, *a.IdleAfter, diff)
		}
	}
}
