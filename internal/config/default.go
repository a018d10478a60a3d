package config

import "time"

const day = 24 * time.Hour

// Default returns the configuration of a server that was told nothing. It is
// valid.
func Default() Config {
	return Config{
		Listen: "127.0.0.1:8080",
		Data:   "./latchkey-data",
		Log:    Log{Format: "text", Level: "info"},
		HTTP: HTTP{
			ReadHeaderTimeout: 10 * time.Second,
			IdleTimeout:       120 * time.Second,
			Drain:             30 * time.Second,
			MaxHeaderBytes:    64 << 10,
		},
		Tokens: Tokens{
			Personal:      Life{Default: 90 * day, Max: 366 * day},
			Robot:         Life{Default: 365 * day, Max: 731 * day},
			Refresh:       Life{Default: 30 * day, Max: 366 * day, Idle: 14 * day},
			Registry:      Life{Default: 90 * day, Max: 366 * day, Idle: 30 * day},
			Access:        AccessLife{Default: 5 * time.Minute, Max: time.Hour},
			RefreshLeeway: 10 * time.Second,
			MaxPerAccount: 1000,
			MaxOverlap:    7 * day,
			KeepEnded:     90 * day,
		},
		Check:     Check{CacheEntries: 100_000, Bound: 2 * time.Second},
		Verify:    Verify{AssertionHeader: assertionHeader},
		Keys:      Keys{Algorithm: "ES256", RotateEvery: 90 * day, PublishBefore: time.Hour, MaxAge: 5 * time.Minute},
		Passwords: Passwords{Sources: []string{SourceLocal}, Queue: 64},
		Sources: Sources{
			Django: DjangoSource{
				Name:  "django",
				Table: "auth_user",
				Columns: DjangoColumns{
					ID: "id", Username: "username", Password: "password",
					Email: "email", IsActive: "is_active", IsSuperuser: "is_superuser",
				},
				MaxConns: 4,
			},
			Pulp: PulpSource{Name: "pulp", APIRoot: "/pulp/", Timeout: 10 * time.Second},
		},
		Dialects: Dialects{DRF: DRF{Enabled: true, Path: "/api-token-auth/", Form: "hex40", Idle: 90 * day}, SimpleJWT: defaultSimpleJWT()},
		Registry: defaultRegistry(),
		Pulp: Pulp{
			APIRoot:           "/pulp/",
			ContentPathPrefix: "/pulp/content/",
			IdentityHeader:    "Latchkeyuser",
			Audit:             "writes",
			Accounts:          PulpAccounts{Users: AccountsSame, Robots: AccountsSame, MapTo: "latchkey-robot", Admin: "admin"},
		},
		Audit:  Audit{Checks: "sampled", Keep: 365 * day},
		TLS:    TLS{MinVersion: "1.2"},
		Traces: Traces{Percent: 100},
	}
}
