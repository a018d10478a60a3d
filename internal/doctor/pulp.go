package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/pulpsettings"
)

// pulpPath is a path of Pulp's REST API.
func (x *examination) pulpPath(rest string) string {
	return strings.TrimSuffix(x.Config.Pulp.APIRoot, "/") + "/api/v3/" + rest
}

// pulpStatus is what Pulp's status page says
// (pulpcore/app/serializers/status.py).
type pulpStatus struct {
	Versions []struct{ Component, Version string }
	Workers  []any                    `json:"online_workers"`
	Database struct{ Connected bool } `json:"database_connection"`
	Content  struct {
		Origin string `json:"content_origin"`
		Prefix string `json:"content_path_prefix"`
	} `json:"content_settings"`
	Domains bool `json:"domain_enabled"`
}

func (s pulpStatus) has(component string) bool { return s.version(component) != "" }

func (s pulpStatus) version(component string) string {
	for _, v := range s.Versions {
		if v.Component == component {
			return v.Version
		}
	}
	return ""
}

func (x *examination) askStatus(ctx context.Context, to *prober) (pulpStatus, answer, error) {
	var s pulpStatus
	a, err := to.get(ctx, x.pulpPath("status/"))
	if err == nil && a.status == http.StatusOK && json.Unmarshal(a.body, &s) != nil {
		a.status = 0 // something else answers
	}
	return s, a, err
}

// pulpAPI looks at Pulp's API server: whether it is there, says the same about
// itself as our configuration does, and believes the gateway and nobody else.
func pulpAPI(ctx context.Context, x *examination) []Finding {
	p := x.Config.Pulp
	if p.API == "" {
		return nil
	}
	to, err := x.prober(p.API)
	if err != nil {
		return nil
	}
	status, a, err := x.askStatus(ctx, to)
	switch {
	case err != nil:
		return []Finding{{
			Level: Problem, Seen: fmt.Sprintf("Pulp's API does not answer at %s: %v", p.API, err), Why: "the gateway answers 502 for it",
			Where: atCommand, Fix: []string{"systemctl status pulpcore-api", "# or, if it is elsewhere, in " + inConfig + ":", "pulp: {api: http://127.0.0.1:24817}"},
		}}
	case a.status != http.StatusOK || !status.has("core"):
		return []Finding{{
			Level: Problem, Seen: fmt.Sprintf("%s%s is no status page of Pulp (status %d)", p.API, x.pulpPath("status/"), a.status),
			Why:   "either this is not Pulp's API server, or its API_ROOT is another one, and the gateway's rules are about other paths than Pulp's",
			Where: inConfig, Fix: []string{"pulp: {api: http://127.0.0.1:24817, api_root: /pulp/}   # api_root as API_ROOT in Pulp's settings"},
		}}
	}
	list := x.statusFindings(status)
	list = append(list, x.trust(ctx, to)...)
	if status.has("container") {
		list = append(list, x.registry(ctx, to)...)
	}
	return append([]Finding{fine("Pulp %s answers at %s", status.version("core"), p.API)}, list...)
}

// statusFindings compares what Pulp says about itself with our configuration.
func (x *examination) statusFindings(s pulpStatus) []Finding {
	var list []Finding
	if !s.Database.Connected {
		list = append(list, Finding{Level: Problem, Seen: "Pulp says that it has no connection to its database", Why: "it can do nothing without",
			Where: atCommand, Fix: []string{"systemctl status postgresql"}})
	}
	if len(s.Workers) == 0 {
		list = append(list, Finding{Level: Warning, Seen: "no worker of Pulp is at work", Why: "uploads, publications and everything else that is a task wait for one",
			Where: atCommand, Fix: []string{"systemctl start pulpcore-worker@1"}})
	}
	if ours := x.Config.Pulp.ContentPathPrefix; s.Content.Prefix != "" && strings.Trim(s.Content.Prefix, "/") != strings.Trim(ours, "/") {
		list = append(list, Finding{
			Level: Problem, Seen: fmt.Sprintf("Pulp's CONTENT_PATH_PREFIX is %s, and pulp.content_path_prefix is %s", s.Content.Prefix, ours),
			Why: "the gateway has Pulp's content at a path where Pulp has nothing", Where: inConfig, Fix: []string{"pulp: {content_path_prefix: " + s.Content.Prefix + "}"},
		})
	}
	return append(list, x.contentOrigin(s.Content.Origin)...)
}

// contentOrigin looks at where Pulp sends clients for content.
func (x *examination) contentOrigin(theirs string) []Finding {
	ours := x.publicOrigin()
	if ours == "" || strings.TrimSuffix(theirs, "/") == ours {
		return nil
	}
	f := Finding{
		Level: Warning, Seen: fmt.Sprintf("Pulp's CONTENT_ORIGIN is %q, and clients reach the gateway at %s", theirs, ours),
		Why:   "links to content lead past the gateway or nowhere, and clients send no credential to another host or port",
		Where: inPulp, Fix: []string{fmt.Sprintf("CONTENT_ORIGIN = %q", ours)},
	}
	if x.Config.PublicURL != "" || sameServer(theirs, x.Config.Pulp.Content) {
		f.Level = Problem
	}
	return []Finding{f}
}

// publicOrigin is where clients reach the gateway, as far as that is known.
func (x *examination) publicOrigin() string {
	return strings.TrimSuffix(orElse(x.Config.PublicURL, orElse(x.URL, x.Origin)), "/")
}

func sameServer(a, b string) bool {
	return strings.TrimSuffix(a, "/") == strings.TrimSuffix(b, "/")
}

// realmOf finds where a registry sends its clients for tokens.
var realmOf = regexp.MustCompile(`^Bearer realm="([^"]*)"`)

// registry looks at how Pulp's container registry asks for tokens.
func (x *examination) registry(ctx context.Context, to *prober) []Finding {
	a, err := to.get(ctx, "/v2/")
	if err != nil {
		return nil
	}
	realm := realmOf.FindStringSubmatch(a.header.Get("WWW-Authenticate"))
	want := orElse(x.publicOrigin(), "https://…") + "/token/"
	switch {
	case realm == nil:
		return []Finding{{
			Level: Problem, Seen: fmt.Sprintf("Pulp's container registry asks for no token (status %d at /v2/)", a.status),
			Why:   "with TOKEN_AUTH_DISABLED everybody may pull every image, and only a superuser's password can push",
			Where: inPulp, Fix: []string{"TOKEN_AUTH_DISABLED = False", fmt.Sprintf("TOKEN_SERVER = %q", want)},
		}}
	case x.publicOrigin() != "" && realm[1] != want:
		return []Finding{{
			Level: Warning, Seen: fmt.Sprintf("Pulp's TOKEN_SERVER is %q, and clients reach the gateway at %s", realm[1], x.publicOrigin()),
			Why:   "docker, podman and skopeo ask for tokens where the gateway is not",
			Where: inPulp, Fix: []string{fmt.Sprintf("TOKEN_SERVER = %q", want)},
		}}
	}
	return nil
}

// classLines are the setting by which Pulp finds out who is asking.
func classLines() []string {
	return []string{
		pulpsettings.Classes + " = (",
		`    "pulpcore.app.authentication.BasicAuthentication",`,
		`    "pulpcore.app.authentication.PulpRemoteUserAuthentication",`,
		`    "rest_framework.authentication.SessionAuthentication",`,
		")",
	}
}

// backendLines are the setting by which Pulp looks users up.
func backendLines() []string {
	return []string{
		"AUTHENTICATION_BACKENDS = [",
		`    "django.contrib.auth.backends.ModelBackend",`,
		`    "` + pulpsettings.Backend + `",`,
		`    "pulpcore.backends.ObjectRolePermissionBackend",`,
		"]",
	}
}
