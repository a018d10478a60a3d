package pulptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
)

// RemoteUserHeader is the request header whose value Pulp takes for the name of the user. Its name has neither a hyphen
// nor an underscore because only such a name means the same to Pulp's API and to its content app.
const RemoteUserHeader = "Latchkeyuser"

// baseSettings are what does not differ from one Pulp to the next.
const baseSettings = `
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "pulpcore.app.authentication.PulpNoCreateRemoteUserBackend",
    "pulpcore.backends.ObjectRolePermissionBackend",
]
REST_FRAMEWORK__DEFAULT_AUTHENTICATION_CLASSES = (
    "pulpcore.app.authentication.BasicAuthentication",
    "pulpcore.app.authentication.PulpRemoteUserAuthentication",
    "rest_framework.authentication.SessionAuthentication",
)
REMOTE_USER_ENVIRON_NAME = "HTTP_LATCHKEYUSER"
TOKEN_SIGNATURE_ALGORITHM = "ES256"
ANALYTICS = False
CACHE_ENABLED = False
`

// writeSettings writes Pulp's settings file and the keys that it names.
func (p *Pulp) writeSettings() error {
	if err := p.writeKeys(); err != nil {
		return err
	}
	db, err := pgx.ParseConfig(p.DatabaseDSN)
	if err != nil {
		return err
	}
	secret := make([]byte, 48)
	rand.Read(secret)
	var b strings.Builder
	set := func(name string, value any) { fmt.Fprintf(&b, "%s = %s\n", name, python(value)) }
	set("SECRET_KEY", base64.StdEncoding.EncodeToString(secret))
	set("CONTENT_ORIGIN", p.opts.ContentOrigin)
	set("ANSIBLE_API_HOSTNAME", p.opts.ContentOrigin)
	set("TOKEN_SERVER", p.opts.ContentOrigin+"/token/")
	set("DATABASES", map[string]any{"default": map[string]any{
		"ENGINE": "django.db.backends.postgresql", "NAME": db.Database, "USER": db.User, "PASSWORD": db.Password,
		"HOST": db.Host, "PORT": db.Port, "CONN_MAX_AGE": 0,
	}})
	set("DB_ENCRYPTION_KEY", p.path("database_fields.symmetric.key"))
	set("PUBLIC_KEY_PATH", p.path("token_public_key.pem"))
	set("PRIVATE_KEY_PATH", p.path("token_private_key.pem"))
	set("DEPLOY_ROOT", p.Dir)
	set("MEDIA_ROOT", p.path("media")+"/")
	set("STATIC_ROOT", p.path("assets")+"/")
	set("WORKING_DIRECTORY", p.path("tmp")+"/")
	set("FILE_UPLOAD_TEMP_DIR", p.path("tmp")+"/")
	if p.opts.OAuthTokenURL != "" {
		set("REMOTE_USER_OPENAPI_SECURITY_SCHEME", map[string]any{
			"type": "oauth2",
			"flows": map[string]any{"clientCredentials": map[string]any{
				"tokenUrl": p.opts.OAuthTokenURL, "scopes": map[string]any{},
			}},
		})
	}
	b.WriteString(baseSettings)
	b.WriteString(p.opts.Settings)
	return os.WriteFile(p.path("settings.py"), []byte(b.String()), 0o600)
}

// python writes strings, integers and maps of them as Python; for these, JSON is the same.
func python(value any) string {
	b, err := json.Marshal(value)
	if err != nil {
		panic(err) // only the values in writeSettings come here
	}
	return string(b)
}

// writeKeys makes the key that Pulp encrypts database fields with, and the pair that signs and checks the tokens of its
// container registry.
func (p *Pulp) writeKeys() error {
	fernet := make([]byte, 32)
	rand.Read(fernet)
	signing, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	private, err := x509.MarshalECPrivateKey(signing)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(signing.Public())
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"database_fields.symmetric.key": []byte(base64.URLEncoding.EncodeToString(fernet) + "\n"),
		"token_private_key.pem":         pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}),
		"token_public_key.pem":          pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}),
	} {
		if err := os.WriteFile(p.path(name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}
