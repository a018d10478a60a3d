package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

const secretOnceLong = `
The secret is shown this once. At a terminal it comes with what is known about
the token; in a pipe, and with -q, it comes alone, so that it can be stored:

  latchkey token create ci -q > token.txt`

const tokenCreateLong = `Make a token. A token can do what its own scopes and the grants of its owner
both allow; without --scope it can do all that its owner can. See 'latchkey help
scopes'.

A token that is asked for with a token, such as that of your login, cannot live
longer or do more than that one. With --user the server is asked with a
password, and only its own limits count.
` + secretOnceLong

const tokenCreateExample = `  latchkey token create laptop --expires 30d
  latchkey token create ci --owner ci-robot --scope 'repository:prod/*:pull' --expires 12h
  latchkey token create mirror --scope 'path:/pulp/content/*:read' --cidr 10.0.0.0/8
  latchkey token create ci-2027 --owner ci-robot --expires 365d --user admin
  latchkey token create nightly --label team=infra --label job=sync --idle-timeout 7d`

// tokenFlags are the choices about a token that create and update share.
type tokenFlags struct {
	expires     string
	idleTimeout string
	scope       []string
	labels      []string
	cidrs       []string
}

func (t *tokenFlags) add(f *pflag.FlagSet) {
	f.StringVar(&t.expires, "expires", "", "when it ends: 12h, 90d, 2027-01-31 (its first moment, UTC), never")
	f.StringVar(&t.idleTimeout, "idle-timeout", "", "end it when it is not used for so long: 30d, never")
	f.StringArrayVar(&t.scope, "scope", nil, "a `rule` for what it may do; can be repeated")
	f.StringArrayVar(&t.labels, "label", nil, "a label as `key=value`; can be repeated")
	f.StringArrayVar(&t.cidrs, "cidr", nil, "a `network` that it may be used from, like 10.0.0.0/8; can be repeated")
}

// idle reads the idle timeout in seconds; nil when none is given.
func (t *tokenFlags) idle() (*int64, error) {
	switch t.idleTimeout {
	case "":
		return nil, nil
	case "never":
		return new(int64), nil
	}
	d, err := parseDuration(t.idleTimeout)
	if err != nil {
		return nil, &usageError{text: "--idle-timeout: " + err.Error()}
	}
	seconds := int64(d / time.Second)
	return &seconds, nil
}

// creation makes the request for a new token.
func (t *tokenFlags) creation(name, owner string) (api.CreateToken, error) {
	r := api.CreateToken{Name: name, Owner: owner, Scope: t.scope, CIDRs: t.cidrs}
	var err error
	if t.expires != "" {
		if r.ExpiresIn, r.ExpiresAt, err = parseEnd(t.expires); err != nil {
			return r, &usageError{text: "--expires: " + err.Error()}
		}
	}
	if r.IdleTimeout, err = t.idle(); err != nil {
		return r, err
	}
	r.Labels, err = parseLabels(t.labels)
	return r, err
}

func newTokenCreateCommand(env *environment) *cobra.Command {
	var flags tokenFlags
	var owner string
	cmd := &cobra.Command{
		Use:     "create NAME",
		Short:   "Make a token",
		Long:    tokenCreateLong,
		Example: tokenCreateExample,
		Args:    arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := flags.creation(args[0], owner)
			if err != nil {
				return err
			}
			return env.asking(func(ctx context.Context, c *client.Client, _ []string) error {
				token, err := c.Tokens.Create(ctx, r)
				if err != nil {
					return err
				}
				return env.printSecret(token)
			})(cmd, args)
		},
	}
	flags.add(cmd.Flags())
	cmd.Flags().StringVar(&owner, "owner", "", "the `account` that gets the token, if not you; a robot, say")
	completeFlag(cmd, "owner", env.completeAccounts(""))
	return cmd
}

const tokenRotateLong = `Give a token a new secret; its id, name and limits stay. The old secret ends at
once, unless --overlap or --until-used lets it work for longer, so that those
who hold it can be given the new one.
` + secretOnceLong

func newTokenRotateCommand(env *environment) *cobra.Command {
	var overlap string
	var untilUsed bool
	cmd := &cobra.Command{
		Use:   "rotate ID",
		Short: "Give a token a new secret",
		Long:  tokenRotateLong,
		Example: `  latchkey token rotate ID
  latchkey token rotate ID --overlap 1h
  latchkey token rotate ID --until-used --overlap 7d`,
		Args:              arguments("ID"),
		ValidArgsFunction: env.completeTokens,
		RunE: func(cmd *cobra.Command, args []string) error {
			r := api.RotateToken{UntilUsed: untilUsed}
			if overlap != "" {
				d, err := parseDuration(overlap)
				if err != nil {
					return &usageError{text: "--overlap: " + err.Error()}
				}
				r.Overlap = int64(d / time.Second)
			}
			return env.asking(func(ctx context.Context, c *client.Client, args []string) error {
				token, err := c.Tokens.Rotate(ctx, args[0], r)
				if err != nil {
					return err
				}
				kept := env.keepRotated(token)
				if err := env.printSecret(token); err != nil {
					return err
				}
				return kept
			})(cmd, args)
		},
	}
	cmd.Flags().StringVar(&overlap, "overlap", "", "for how much longer the old secret works: 10m, 1h, 7d")
	cmd.Flags().BoolVar(&untilUsed, "until-used", false, "the old secret works until the new one is first used")
	return cmd
}

// keepRotated stores the new secret of a login's own token, which would lock
// itself out otherwise.
func (env *environment) keepRotated(token api.NewToken) error {
	file, err := env.credentialFile()
	if err != nil {
		return err
	}
	known, err := file.load()
	if err != nil {
		return err
	}
	stored, found := known.Servers[env.asked.server]
	if !found || stored.TokenID != token.Token.ID {
		return nil
	}
	stored.Token = token.Secret
	known.Servers[env.asked.server] = stored
	if err := file.save(known); err != nil {
		return &advisedError{err: err, hint: fmt.Sprintf("this was the token of your login; run '%s' again", env.loginCommand())}
	}
	env.say("this is the token of your login, which uses the new secret now")
	return nil
}

// printSecret prints a token that was just made or rotated. Besides it only
// pullSecret.print and the credential helper print secrets.
func (env *environment) printSecret(token api.NewToken) error {
	if env.flags.output == formatJSON {
		return lost(token, env.printJSON(token))
	}
	if env.flags.quiet || !env.shown {
		if err := env.printName(token.Secret); err != nil {
			return lost(token, err)
		}
		env.say("token %s (%s) of %s, ends: %s", token.Name, token.ID, token.Owner, relativeOr(token.ExpiresAt, env.now(), "never"))
		return nil
	}
	details := append([]detail{{"Token", token.Secret}}, tokenDetails(token.Token, env.now())...)
	if err := env.printOne(token, details); err != nil {
		return lost(token, err)
	}
	env.say("The token will not be shown again: store it now.")
	return nil
}

// lost explains that a secret could not be written.
func lost(token api.NewToken, err error) error {
	if err == nil {
		return nil
	}
	return &advisedError{
		err:  fmt.Errorf("the secret of token %s could not be written: %w", token.Token.ID, err),
		hint: fmt.Sprintf("it cannot be seen again; end it with 'latchkey token revoke %s'", token.Token.ID),
	}
}
