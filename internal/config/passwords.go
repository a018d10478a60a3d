package config

import (
	"time"

	"github.com/latchkey-auth/latchkey/internal/secret"
)

// Names of the places where passwords can be checked, for passwords.sources.
const (
	SourceLocal  = "local"
	SourceDjango = "django"
	SourcePulp   = "pulp"
)

// Passwords is how passwords are checked.
type Passwords struct {
	Sources []string `key:"sources" oneof:"local django pulp" doc:"Where a password is looked up, in this order: local is Latchkey itself, django and pulp are set up under sources. Not set: local, and then pulp when pulp.api is set."`
	AtOnce  int      `key:"at_once" min:"0" max:"1024" zero:"as many as there are processor cores" doc:"How many passwords are hashed at the same time. Each takes 19 MiB, or what a foreign hash asks for."`
	Queue   int      `key:"queue" min:"1" max:"100000" doc:"How many logins may wait for that before others are told to try later."`
}

// Sources is the places other than Latchkey where passwords can be checked.
type Sources struct {
	Django DjangoSource `key:"django" doc:"The user table of a Django project in PostgreSQL, such as Pulp's. It is only read."`
	Pulp   PulpSource   `key:"pulp" doc:"The login endpoint of a Pulp."`
}

// DjangoSource is a user table of Django.
type DjangoSource struct {
	DSN      secret.Text   `key:"dsn" doc:"How to connect to the database: a postgres:// URL or libpq's keywords. Give the role nothing but SELECT on the columns below."`
	DSNFile  string        `key:"dsn_file" fills:"sources.django.dsn" doc:"A file that holds the value of dsn."`
	Name     string        `key:"name" doc:"What this source is called in accounts and in the audit log. Accounts belong to it by this name: do not change it later."`
	Table    string        `key:"table" doc:"The table, with its schema in front when it is not on the search path: auth_user, or app.auth_user."`
	Columns  DjangoColumns `key:"columns" doc:"The columns of the table. A - says that is_active, is_superuser or email does not exist."`
	MaxConns int           `key:"max_conns" min:"1" max:"1000" doc:"How many connections are opened at most."`
}

// DjangoColumns names the columns of a user table.
type DjangoColumns struct {
	ID          string `key:"id" doc:"The primary key."`
	Username    string `key:"username" doc:"The name that people log in with."`
	Password    string `key:"password" doc:"The hash of the password."`
	Email       string `key:"email" doc:"The mail address."`
	IsActive    string `key:"is_active" doc:"Whether the user may log in."`
	IsSuperuser string `key:"is_superuser" doc:"Whether the user is an administrator."`
}

// PulpSource is the login endpoint of a Pulp.
type PulpSource struct {
	URL     string        `key:"url" doc:"Pulp's API server: http://host:port, https://host or unix:/path. Not set: pulp.api."`
	Name    string        `key:"name" doc:"What this source is called in accounts and in the audit log. Accounts belong to it by this name: do not change it later."`
	APIRoot string        `key:"api_root" doc:"Pulp's setting API_ROOT. Not set: pulp.api_root."`
	Timeout time.Duration `key:"timeout" min:"100ms" max:"2m" doc:"How long one login may take."`
}

// Dialects is the ways of asking for tokens that existing clients know.
type Dialects struct {
	DRF       DRF       `key:"drf" live:"yes" doc:"The token endpoint of Django REST framework (rest_framework.authtoken)."`
	SimpleJWT SimpleJWT `key:"simplejwt" doc:"The token endpoints of djangorestframework-simplejwt."`
}

// DRF is the dialect of Django REST framework's authtoken.
type DRF struct {
	Enabled  bool          `key:"enabled" doc:"Whether the endpoint is there."`
	Path     string        `key:"path" doc:"Where it is."`
	Form     string        `key:"form" oneof:"hex40 native" doc:"What its tokens look like: 40 hexadecimal digits as clients of Django know them, or Latchkey's own form, which scanners for leaked secrets can recognise."`
	Lifetime time.Duration `key:"lifetime" min:"0" max:"36500d" zero:"no end" doc:"For how long its tokens live."`
	Idle     time.Duration `key:"idle" min:"0" max:"36500d" zero:"never" doc:"After how long without use its tokens end."`
}
