package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/audit"
	"github.com/latchkey-auth/latchkey/internal/config"
	"github.com/latchkey-auth/latchkey/internal/dialect/drf"
	"github.com/latchkey-auth/latchkey/internal/gateway"
	"github.com/latchkey-auth/latchkey/internal/jose"
	"github.com/latchkey-auth/latchkey/internal/keyring"
	"github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/server"
	"github.com/latchkey-auth/latchkey/internal/source"
	"github.com/latchkey-auth/latchkey/internal/source/django"
	"github.com/latchkey-auth/latchkey/internal/source/pulp"
	"github.com/latchkey-auth/latchkey/internal/tokens"
)

// serverOptions says in the server's own terms what the configuration asks
// for.
func serverOptions(c config.Config) (server.Options, error) {
	routes, err := gatewayRoutes(c)
	if err != nil {
		return server.Options{}, err
	}
	options := server.Options{
		Tokens: server.TokenOptions{
			Policy: tokens.Policy{
				Classes: map[tokens.Class]tokens.Life{
					tokens.Personal: tokens.Life(c.Tokens.Personal),
					tokens.Robot:    tokens.Life(c.Tokens.Robot),
					tokens.Refresh:  tokens.Life(c.Tokens.Refresh),
					tokens.Registry: tokens.Life(c.Tokens.Registry),
					tokens.Access:   {Default: c.Tokens.Access.Default, Max: c.Tokens.Access.Max},
				},
				MaxPerAccount: c.Tokens.MaxPerAccount,
				MaxOverlap:    c.Tokens.MaxOverlap,
				Leeway:        cmp.Or(c.Tokens.RefreshLeeway, -1), KeepReused: c.Tokens.KeepReused, Audiences: c.Tokens.Audiences,
			},
			CacheEntries: c.Check.CacheEntries, Bound: c.Check.Bound, StaleFor: c.Check.StaleFor,
			KeepEnded: c.Tokens.KeepEnded, Checks: audit.Checks(c.Audit.Checks),
		},
		SigningKeys: keyring.Policy{
			Algorithm: jose.Algorithm(c.Keys.Algorithm), RotateEvery: c.Keys.RotateEvery,
			PublishBefore: c.Keys.PublishBefore, MaxAge: c.Keys.MaxAge,
			Longest: max(time.Minute, c.Tokens.Access.Max), // nothing else that is signed lives longer
		},
		Passwords: password.Options{Parallel: c.Passwords.AtOnce, Queue: c.Passwords.Queue},
		AuditKeep: c.Audit.Keep,
		Sources:   func(pool *password.Pool) ([]source.Source, error) { return sources(c, pool) },
		Peers:     c.TrustedProxies,

		ThrottleFile: filepath.Join(c.Data, "throttle.state"), AuditHeadFile: filepath.Join(c.Data, "audit.head"),
		Routes: routes,

		Issuer:          c.Keys.Issuer,
		VerifyAssertion: gateway.Assertion{Audience: c.Verify.AssertionAudience, Header: c.Verify.AssertionHeader},
	}
	if d := c.Dialects.DRF; d.Enabled {
		options.DRF = &drf.Options{Path: d.Path, Form: tokens.Native, Lifetime: d.Lifetime, Idle: d.Idle}
		if d.Form == "hex40" {
			options.DRF.Form = tokens.Hex40
		}
	}
	options.SimpleJWT = simpleJWT(c)
	options.Registry = registryRealm(c)
	options.PulpAccounts, err = pulpAccounts(c)
	return options, err
}

// sources makes the password sources in their order. The local one is nil.
func sources(c config.Config, pool *password.Pool) ([]source.Source, error) {
	var list []source.Source
	for _, name := range c.Passwords.Sources {
		var src source.Source
		var err error
		switch name {
		case config.SourceLocal:
		case config.SourceDjango:
			src, err = djangoSource(c.Sources.Django, pool)
		case config.SourcePulp:
			p := c.Sources.Pulp
			src, err = pulp.New(pulp.Options{Name: p.Name, URL: p.URL, APIRoot: strings.TrimSuffix(p.APIRoot, "/") + "/api/v3/", Timeout: p.Timeout})
		default:
			err = errors.New("there is no such source")
		}
		if err != nil {
			return nil, fmt.Errorf("the password source %s: %w", name, err)
		}
		list = append(list, src)
	}
	return list, nil
}

func djangoSource(d config.DjangoSource, pool *password.Pool) (source.Source, error) {
	schema, table, qualified := strings.Cut(d.Table, ".")
	if !qualified {
		schema, table = "", d.Table
	}
	return django.New(django.Options{
		Name: d.Name, DSN: d.DSN, Passwords: pool, Schema: schema, Table: table, MaxConns: int32(d.MaxConns),
		Columns: django.Columns{
			ID: d.Columns.ID, Username: d.Columns.Username, Password: d.Columns.Password,
			Email: d.Columns.Email, Active: d.Columns.IsActive, Superuser: d.Columns.IsSuperuser,
		},
	})
}

// gatewayRoutes lists what the gateway stands in front of.
func gatewayRoutes(c config.Config) ([]gateway.Route, error) {
	var routes []gateway.Route
	if c.Pulp.API != "" {
		api, err := upstream(c.Pulp.API)
		if err != nil {
			return nil, err
		}
		content, err := upstream(c.Pulp.Content)
		if err != nil {
			return nil, err
		}
		routes = gateway.PulpRoutes(api, content, gateway.PulpOptions{
			APIRoot: c.Pulp.APIRoot, ContentPrefix: c.Pulp.ContentPathPrefix, UserHeader: c.Pulp.IdentityHeader,
			Audit: gateway.Auditing(c.Pulp.Audit), Renamed: c.Pulp.Accounts.Any(),
		})
	}
	for _, r := range c.Routes {
		to, err := upstream(r.Upstream)
		if err != nil {
			return nil, err
		}
		routes = append(routes, gateway.Route{
			Name: r.Name, Prefix: r.Prefix, Upstream: to,
			Auth: authOf(r.Auth), Open: r.Open, Passwords: gateway.Passwords(r.Passwords),
			Challenge401: r.Challenge401, UserHeader: r.IdentityHeader, KeepAuthorization: r.KeepAuthorization,
			Assertion: gateway.Assertion{Audience: r.AssertionAudience, Header: r.AssertionHeader},
			Audit:     gateway.Auditing(r.Audit),
			Timeouts:  gateway.Timeouts{Dial: r.DialTimeout, Response: r.ResponseTimeout},
		})
	}
	return routes, nil
}

func authOf(text string) gateway.Auth {
	if text == "none" {
		return gateway.Off
	}
	return gateway.Auth(text)
}

// upstream reads the address of a service: a URL, or unix:/path.
func upstream(text string) (*url.URL, error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		return &url.URL{Scheme: "unix", Path: path}, nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("the upstream %q is not a URL", text)
	}
	return u, nil
}
