package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

const keysImportLong = `Take over the key by which another issuer has signed tokens, so that they are
accepted until they expire: those of a Django project with simplejwt that moves
to Latchkey. The key verifies and nothing else. It never signs, is not published,
and is kept sealed under the server's secret.

For HS256, HS384 and HS512 the file holds the shared secret (SIGNING_KEY, else
SECRET_KEY); one line break at its end is left out. For the others it holds a key
in PEM, public or private, of which the public part is kept. What is read is sent
to the server, and never printed.

The tokens stand for accounts of a password source, --source. What their claim for
the user holds says --user-id: "subject" is the id that the source has for them,
Django's primary key, and "name" the login name (USER_ID_FIELD is "username").
Users who were never here get their account with their first token, if the source
is one that can be asked about them.

The key ends by itself, after 30 days if --until does not say when: take the
longest life of a refresh token (REFRESH_TOKEN_LIFETIME). 'latchkey keys revoke'
ends it at once, with all tokens that it has signed. To import a key needs the
scopes latchkey:keys:write and latchkey:all-tokens:write, since whoever has the key
can make tokens for everybody in the source.`

const keysImportExample = `  latchkey keys import --alg HS256 --from secret_key --source django --until 14d
  latchkey keys import --alg RS256 --from verifying_key.pem --source django --issuer shop.example
  latchkey keys import --alg HS256 --from - --source local --scope 'path:/shop/*:read'`

// maxKeyFile bounds what is read as a key.
const maxKeyFile = 64 << 10

// keyImportFlags are the options of an import.
type keyImportFlags struct {
	from, until, longest string
	r                    api.ImportKey
}

func (i *keyImportFlags) add(f *pflag.FlagSet) {
	f.StringVar(&i.r.Algorithm, "alg", "", "the algorithm that the tokens are signed by (ALGORITHM): HS256, HS384, HS512, RS256, ..., ES256, ..., PS256, ... or EdDSA")
	f.StringVar(&i.from, "from", "", "the `file` with the key, - for standard input")
	f.StringVar(&i.until, "until", "", "when the key ends: 14d, or a date (default 30d, at most 366d)")
	f.StringVar(&i.r.Source, "source", "", "the password `source` whose accounts the tokens stand for, such as django or local")
	f.StringVar(&i.r.UserID, "user-id", "subject", "what the claim for the user holds: subject, name or id")
	f.StringVar(&i.r.UserIDClaim, "user-id-claim", "user_id", "the `claim` for the user (USER_ID_CLAIM)")
	f.StringVar(&i.r.TokenTypeClaim, "token-type-claim", "token_type", "the `claim` for the kind of token (TOKEN_TYPE_CLAIM)")
	f.StringVar(&i.r.JTIClaim, "jti-claim", "jti", "the `claim` for the token's id (JTI_CLAIM)")
	f.StringVar(&i.r.SlidingRefreshClaim, "sliding-refresh-claim", "refresh_exp", "the `claim` for until when a sliding token is renewed (SLIDING_TOKEN_REFRESH_EXP_CLAIM)")
	f.StringVar(&i.r.Issuer, "issuer", "", "what the tokens have as iss (ISSUER); not set: they have none")
	f.StringVar(&i.r.Audience, "audience", "", "what the tokens have as aud (AUDIENCE), or one of it; not set: they have none")
	f.StringArrayVar(&i.r.Scope, "scope", nil, "a `rule` that limits what the tokens open; can be repeated")
	f.StringVar(&i.longest, "max-lifetime", "", "ends each token so long after it was issued, whatever it says: 1h, 7d")
	f.BoolVar(&i.r.AllowWeak, "allow-weak-secret", false, "take a shared secret that is shorter than its algorithm wants, but no less than 16 bytes")
}

// request reads the key and makes the request.
func (i *keyImportFlags) request(env *environment) (api.ImportKey, error) {
	r := i.r
	for flag, value := range map[string]string{"--alg": r.Algorithm, "--from": i.from, "--source": r.Source} {
		if value == "" {
			return r, &usageError{text: flag + " is needed"}
		}
	}
	var err error
	if i.until != "" {
		if r.ExpiresIn, r.ExpiresAt, err = parseEnd(i.until); err != nil || i.until == "never" {
			return r, &usageError{text: fmt.Sprintf("--until: %q is no end; write for example 14d or 2027-01-31", i.until)}
		}
	}
	if i.longest != "" {
		d, err := parseDuration(i.longest)
		if err != nil {
			return r, &usageError{text: "--max-lifetime: " + err.Error()}
		}
		r.MaxLifetime = int64(d / time.Second)
	}
	key, err := i.read(env)
	r.Key = string(key)
	return r, err
}

// read reads the key. One line break at its end is an editor's, not the key's.
func (i *keyImportFlags) read(env *environment) ([]byte, error) {
	in := env.stdin
	if i.from != "-" {
		f, err := os.Open(i.from)
		if err != nil {
			return nil, fmt.Errorf("reading the key: %w", err)
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	key, err := io.ReadAll(io.LimitReader(in, maxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading the key: %w", err)
	}
	if len(key) > maxKeyFile {
		return nil, &usageError{text: fmt.Sprintf("--from: a key has no more than %d bytes", maxKeyFile)}
	}
	key = bytes.TrimSuffix(bytes.TrimSuffix(key, []byte("\n")), []byte("\r"))
	if len(key) == 0 {
		return nil, &usageError{text: "--from: there is no key in it"}
	}
	if !utf8.Valid(key) {
		return nil, &usageError{text: "--from: the key is not text in UTF-8"}
	}
	return key, nil
}

func newKeysImportCommand(env *environment) *cobra.Command {
	var flags keyImportFlags
	cmd := &cobra.Command{
		Use:     "import",
		Short:   "Accept the tokens of another issuer until they expire",
		Long:    keysImportLong,
		Example: keysImportExample,
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := flags.request(env)
			if err != nil {
				return err
			}
			return env.asking(func(ctx context.Context, c *client.Client, _ []string) error {
				k, err := c.Keys.Import(ctx, r)
				if err != nil {
					return err
				}
				return env.printChanged(k, "%s is imported: tokens that it has signed count until %s", k.ID, exact(k.EndsAt, env.now(), "its end"))
			})(cmd, args)
		},
	}
	flags.add(cmd.Flags())
	algorithms := []string{"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
	completeFlag(cmd, "alg", cobra.FixedCompletions(algorithms, cobra.ShellCompDirectiveNoFileComp))
	completeFlag(cmd, "user-id", cobra.FixedCompletions([]string{"subject", "name", "id"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}
