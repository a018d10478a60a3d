package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/pulpsettings"
)

// belief is whether Pulp takes the user from a header.
type belief int

const (
	unknown  belief = iota // it did not answer as expected
	ignores                // the request stays anonymous
	believes               // the request is the user's
	creates                // the same, and it makes users whom it does not know
)

// tooLong is a name that no user of Pulp can have, since the column has room
// for 150 characters. A Pulp that makes users whom it does not know fails to
// make this one (500), and one that does not takes the request for anonymous;
// so nothing is created by asking with it.
func tooLong() string { return "latchkey-doctor-" + strings.Repeat("x", 200) }

// believed finds out what Pulp's API makes of a header, by asking for the login
// page, which shows who is asking and changes nothing. First with the name that
// cannot be; and only a Pulp that then stays calm is asked as its user.
func (x *examination) believed(ctx context.Context, to *prober, header string) belief {
	path := x.pulpPath("login/")
	a, err := to.get(ctx, path, header, tooLong())
	switch {
	case err != nil:
		return unknown
	case a.status == http.StatusOK, a.status == http.StatusInternalServerError:
		return creates
	}
	if a, err = to.get(ctx, path, header, x.PulpUser); err != nil {
		return unknown
	}
	switch {
	case a.status == http.StatusOK && loggedIn(a.body) != "":
		return believes
	case anonymous(a.status):
		return ignores
	}
	return unknown
}

func anonymous(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden
}

// loggedIn reads the name of the user from an answer of the login page.
func loggedIn(body []byte) string {
	var user struct{ Username string }
	if json.Unmarshal(body, &user) != nil {
		return ""
	}
	return user.Username
}

// otherHeaders lists names that gateways and proxies usually tell users by.
// The gateway passes these on, since to other services they are like any other;
// a Pulp that believes one can be told any name by any client.
func otherHeaders() []string {
	return []string{
		"Remote-User", "Remoteuser", "X-Remote-User", "X-Forwarded-User", "X-Forwarded-Preferred-Username",
		"X-Auth-Request-User", "X-Webauth-User", "X-User", "Latchkey-User", "Latchkeyuser",
	}
}

// trust looks at whom Pulp's API believes.
func (x *examination) trust(ctx context.Context, to *prober) []Finding {
	list, calm := x.challenge(ctx, to)
	if !calm {
		return list
	}
	ours := x.Config.Pulp.IdentityHeader
	other := ""
	var grave []Finding
	for _, name := range otherHeaders() {
		if strings.EqualFold(name, ours) {
			continue
		}
		if b := x.believed(ctx, to, name); b == believes || b == creates {
			other = name
			grave = append(grave, Finding{
				Level: Problem, Seen: fmt.Sprintf("Pulp believes the header %s, which is not the gateway's (%s)", name, ours),
				Why:   "every client can send it through the gateway and be any user of Pulp, the administrator included",
				Where: inPulp, Fix: []string{fmt.Sprintf("REMOTE_USER_ENVIRON_NAME = %q", pulpsettings.Environ(ours))},
			})
		}
	}
	list = append(list, grave...)
	switch x.believed(ctx, to, ours) {
	case believes:
		list = append(list, fine("Pulp believes the header %s, and makes no user of a name that it does not know", ours))
	case creates:
		list = append(list, Finding{
			Level: Problem, Seen: fmt.Sprintf("Pulp believes the header %s, and makes a user of every name that it does not know", ours),
			Why:   "each account of Latchkey becomes a user of Pulp when it first asks, and one that was deleted there comes back",
			Where: inPulp, Fix: backendLines(),
		})
	case ignores:
		list = append(list, x.disbelief(ctx, to, other))
	case unknown:
		list = append(list, Finding{
			Level: Warning, Seen: "Pulp's login page did not say whether it believes the header " + ours, Why: "nothing is known about whom it believes",
			Where: atCommand, Fix: []string{"journalctl -u pulpcore-api -e"},
		})
	}
	return append(list, x.jsonHeader(ctx, to)...)
}

// challenge looks at how Pulp refuses a request without a credential. Where
// that is no refusal, nothing else can be found out.
func (x *examination) challenge(ctx context.Context, to *prober) (list []Finding, calm bool) {
	a, err := to.get(ctx, x.pulpPath("login/"))
	switch {
	case err != nil:
		return []Finding{{Level: Problem, Seen: fmt.Sprintf("Pulp's login page does not answer: %v", err), Why: "passwords cannot be checked there",
			Where: atCommand, Fix: []string{"journalctl -u pulpcore-api -e"}}}, false
	case a.status == http.StatusOK:
		return []Finding{{
			Level: Problem, Seen: fmt.Sprintf("Pulp takes a request without a credential for the user %q", loggedIn(a.body)),
			Why: "whatever is open in the gateway is that user's", Where: inPulp, Fix: classLines(),
		}}, false
	case a.status == http.StatusForbidden || a.status == http.StatusUnauthorized && !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Basic "):
		return []Finding{{
			Level: Warning, Seen: "BasicAuthentication is not the first of Pulp's authentication classes",
			Why: "a refusal is then 403 without a challenge, where clients wait for a 401", Where: inPulp, Fix: classLines(),
		}}, true
	case a.status != http.StatusUnauthorized:
		return []Finding{{Level: Problem, Seen: fmt.Sprintf("Pulp's login page answers with status %d", a.status), Why: "it should ask for a credential",
			Where: atCommand, Fix: []string{"journalctl -u pulpcore-api -e"}}}, false
	}
	return nil, true
}

// disbelief says why Pulp does not take the user from the header.
func (x *examination) disbelief(ctx context.Context, to *prober, other string) Finding {
	ours := x.Config.Pulp.IdentityHeader
	name := fmt.Sprintf("REMOTE_USER_ENVIRON_NAME = %q", pulpsettings.Environ(ours))
	f := Finding{
		Level: Problem, Seen: "Pulp does not believe the header " + ours, Why: "whoever comes through the gateway with a token is a stranger to Pulp",
		Where: inPulp, Fix: append(append(classLines(), backendLines()...), name),
	}
	if other != "" {
		f.Fix = []string{name}
		return f
	}
	if x.schemaNames(ctx, to, "remoteUserAuthentication") {
		f.Seen = fmt.Sprintf("Pulp did not take a request with the header %s for one of the user %s", ours, x.PulpUser)
		f.Why = "either REMOTE_USER_ENVIRON_NAME names another header, or PulpNoCreateRemoteUserBackend is missing, or Pulp has no such user, which " +
			"`latchkey doctor --pulp-user NAME` tells apart"
		f.Fix = append(backendLines(), name)
	}
	return f
}

// schemaNames reports whether the description of Pulp's API has an
// authentication of a name. Making it takes Pulp some seconds.
func (x *examination) schemaNames(ctx context.Context, to *prober, name string) bool {
	slow := *to
	client := *to.client
	client.Timeout = 4 * x.Timeout
	slow.client = &client
	a, err := slow.get(ctx, x.pulpPath("docs/api.json?component=core"))
	// Every operation names them, so the beginning of the document is enough.
	return err == nil && a.status == http.StatusOK && strings.Contains(string(a.body), `"`+name+`"`)
}

// jsonHeader looks for JSONHeaderRemoteAuthentication, by headers that are
// usual for it: to what is not Base64 it answers in its own way
// (pulpcore/app/authentication.py).
func (x *examination) jsonHeader(ctx context.Context, to *prober) []Finding {
	var list []Finding
	for _, name := range []string{"X-Rh-Identity", "X-Identity"} {
		a, err := to.get(ctx, x.pulpPath("login/"), name, "A")
		if err == nil && anonymous(a.status) && strings.Contains(string(a.body), "Access denied") {
			list = append(list, Finding{
				Level: Problem, Seen: "Pulp takes the user from the header " + name + " (AUTHENTICATION_JSON_HEADER)",
				Why: "every client can send it through the gateway and be any user of Pulp", Where: inPulp, Fix: classLines(),
			})
		}
	}
	return list
}

// pulpContent looks at Pulp's content server.
func pulpContent(ctx context.Context, x *examination) []Finding {
	p := x.Config.Pulp
	if p.Content == "" {
		return nil
	}
	to, err := x.prober(p.Content)
	if err != nil {
		return nil
	}
	path := x.missingContent(ctx)
	a, err := to.get(ctx, path)
	switch {
	case err != nil:
		return []Finding{{
			Level: Problem, Seen: fmt.Sprintf("Pulp's content server does not answer at %s: %v", p.Content, err), Why: "the gateway answers 502 for it",
			Where: atCommand, Fix: []string{"systemctl status pulpcore-content", "# or, if it is elsewhere, in " + inConfig + ":", "pulp: {content: http://127.0.0.1:24816}"},
		}}
	case a.status != http.StatusNotFound:
		return []Finding{{
			Level: Warning, Seen: fmt.Sprintf("%s answers with status %d for content that cannot be there", p.Content, a.status),
			Why: "Pulp's content server says 404; is this another server?", Where: inConfig, Fix: []string{"pulp: {content: http://127.0.0.1:24816}"},
		}}
	}
	return x.contentBelief(ctx, to, path)
}

// missingContent is a path at which Pulp's content server looks up who is
// asking, and then finds nothing.
func (x *examination) missingContent(ctx context.Context) string {
	path := strings.TrimSuffix(x.Config.Pulp.ContentPathPrefix, "/") + "/"
	if api, err := x.prober(x.Config.Pulp.API); err == nil {
		if s, _, err := x.askStatus(ctx, api); err == nil && s.Domains {
			path += "default/" // in one that is not there, nobody is looked up
		}
	}
	return path + x.nowhere()
}

// notText is a name in bytes that are no UTF-8. A content server that looks the
// name up fails, since its database takes none such (500); one that does not
// believe the header answers as ever. Nothing can be created by it.
const notText = "latchkey-doctor-\xff"

func (x *examination) contentBelief(ctx context.Context, to *prober, path string) []Finding {
	ours := x.Config.Pulp.IdentityHeader
	var list []Finding
	for _, name := range append(otherHeaders(), "Remote_User", "Latchkey_user", "X_Remote_User") {
		if strings.EqualFold(name, ours) {
			continue
		}
		if a, err := to.get(ctx, path, name, notText); err == nil && a.status == http.StatusInternalServerError {
			list = append(list, Finding{
				Level: Problem, Seen: fmt.Sprintf("Pulp's content server believes the header %s, which is not the gateway's (%s)", name, ours),
				Why:   "it takes the name of a user from it, whoever sends it",
				Where: inPulp, Fix: []string{fmt.Sprintf("REMOTE_USER_ENVIRON_NAME = %q", pulpsettings.Environ(ours))},
			})
		}
	}
	a, err := to.get(ctx, path, ours, notText)
	if err == nil && a.status == http.StatusInternalServerError {
		return append(list, fine("Pulp's content server answers at %s and looks up the user that the header %s names", x.Config.Pulp.Content, ours))
	}
	return append(list, Finding{
		Level: Warning, Seen: "Pulp's content server does not seem to believe the header " + ours,
		Why:   "guarded content is then refused to everybody; it has the same settings as the API server, but reads them when it starts",
		Where: atCommand, Fix: []string{"systemctl restart pulpcore-content"},
	})
}
