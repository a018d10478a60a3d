//go:build e2e && linux

package e2e

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/internal/pulptest"
)

// testCorrelation follows one id from the client over the gateway's audit log
// to Pulp's task.
func testCorrelation(t *testing.T, b *behind) {
	token := b.secret(t, b.person(t, "carla", publisherRoles...))
	const given = "0123456789abcdef0123456789abcdef"
	t.Run("kept", func(t *testing.T) {
		if got := b.correlated(t, token, "correlation-kept", "--header", "Correlation-ID: "+given); got != given {
			t.Errorf("the id of the answer, the task and the audit log is %q, want %q, as it was sent", got, given)
		}
	})
	t.Run("kept although said to be hop by hop", func(t *testing.T) {
		const other = "fedcba9876543210fedcba9876543210"
		got := b.correlated(t, token, "correlation-hop", "--header", "Correlation-ID: "+other, "--header", "Connection: Correlation-ID")
		if got != other {
			t.Errorf("the id of the answer, the task and the audit log is %q, want %q, as it was sent", got, other)
		}
	})
	t.Run("made", func(t *testing.T) {
		got := b.correlated(t, token, "correlation-made")
		if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(got) {
			t.Errorf("the id that was made is %q, want 32 hexadecimal digits", got)
		}
	})
	t.Run("of a refusal", func(t *testing.T) {
		const refused = "00112233445566778899aabbccddeeff"
		narrow := b.token(t, b.user("carla", passwordOf("carla")), reading("path:/pulp/content/*:read")).Secret
		a := b.get(t, apiRoot+"login/", with(bearer(narrow), "--header", "Correlation-ID: "+refused)...)
		a.want(t, "login/ with a token for content", http.StatusForbidden, `"path:/pulp/api/v3/login/:read"`)
		b.wantEvent(t, refused, "refused")
	})
}

// correlated has Pulp start a task and returns the id that all three agree on.
func (b *behind) correlated(t *testing.T, token, name string, args ...string) string {
	t.Helper()
	a := b.get(t, apiRoot+"distributions/file/file/",
		with(bearer(token), append(args, "--json", `{"name":"`+name+`","base_path":"`+name+`"}`)...)...)
	id := a.header.Get("Correlation-ID")
	started := a.object(t, "making a distribution")
	var task struct {
		LoggingCID string `json:"logging_cid"`
		CreatedBy  string `json:"created_by"`
	}
	b.ask(t, http.MethodGet, started.Task, nil, &task)
	var user pulptest.User
	b.ask(t, http.MethodGet, task.CreatedBy, nil, &user)
	if task.LoggingCID != id || user.Username != "carla" {
		t.Errorf("Pulp's task is of %q with the id %q, want carla and %q, which the answer had", user.Username, task.LoggingCID, id)
	}
	b.wantEvent(t, id, "ok")
	return id
}

// wantEvent checks that the audit log has carla's request.
func (b *behind) wantEvent(t *testing.T, id, outcome string) {
	t.Helper()
	within(t, 10*time.Second, "the audit log to have the request "+id, func(context.Context) error {
		events := b.events(t, id)
		if len(events) == 0 {
			return errors.New("it is not there")
		}
		e := events[len(events)-1]
		if e.Action != "gateway.request" || e.Outcome != outcome || e.Actor != "carla" || !strings.Contains(e.Target, apiRoot) {
			t.Errorf("the audit log has %+v, want a request at the gateway by carla that was %s", e, outcome)
		}
		return nil
	})
}
