package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

const keysLong = `Look after the keys by which the server signs what others verify by themselves.

One key signs, and the next one is published already, so that others know it when
its time comes. That happens by itself, as keys.rotate_every in the configuration
says. A key stays published until all that it has signed has expired.`

const keysExample = `  latchkey keys list
  latchkey keys rotate
  latchkey keys revoke ID --reason "the machine was broken into"
  latchkey keys export --format certificate > /etc/docker/registry/latchkey.pem
  latchkey keys import --alg HS256 --from secret_key --source django`

func newKeysCommand(env *environment) *cobra.Command {
	return online(env, noun("keys", "Look after the keys that the server signs by", keysLong, keysExample,
		newKeysListCommand(env),
		newKeysRotateCommand(env),
		newKeysRevokeCommand(env),
		newKeysExportCommand(env),
		newKeysImportCommand(env),
	))
}

func newKeysListCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the keys",
		Long: `List the keys, oldest first.

  published  it signs next, and others get to know it
  active     it signs
  retired    it signs no more; what it has signed counts until it expires
  imported   it is of another issuer, whose tokens count until the key ends
  withdrawn  it was revoked: nothing that it has signed counts`,
		Example: "  latchkey keys list\n  latchkey keys list -o json",
		Args:    arguments(),
		RunE: env.asking(func(ctx context.Context, c *client.Client, _ []string) error {
			keys, err := c.Keys.List(ctx)
			if err != nil {
				return err
			}
			return printList(env, keys, func(k api.SigningKey) string { return k.ID }, []column[api.SigningKey]{
				{"ID", func(k api.SigningKey) string { return k.ID }},
				{"ALGORITHM", func(k api.SigningKey) string { return k.Algorithm }},
				{"STATE", func(k api.SigningKey) string { return k.State }},
				{"CREATED", func(k api.SigningKey) string { return relative(k.CreatedAt, env.now()) }},
				{"SIGNS", func(k api.SigningKey) string { return relativeOr(k.ActiveAt, env.now(), neverOr(k, "when rotated")) }},
				{"RETIRES", func(k api.SigningKey) string { return relativeOr(k.RetireAt, env.now(), "") }},
				{"ENDS", func(k api.SigningKey) string { return relativeOr(k.EndsAt, env.now(), "") }},
				{"REASON", func(k api.SigningKey) string { return k.WithdrawReason }},
			})
		}),
	}
}

// neverOr is a word about when a key signs: one of another issuer never does.
func neverOr(k api.SigningKey, otherwise string) string {
	if k.Imported != nil {
		return "never"
	}
	return otherwise
}

func newKeysRotateCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "rotate",
		Short: "Let the next key sign",
		Long: `Let the next key sign: at once if it has been published for as long as
keys.publish_before says, else as soon as it will have been. What the one before
has signed counts until it expires. Services that have the keys in a file need a
new export only after the rotation that follows: the next key is in theirs already.`,
		Example: "  latchkey keys rotate\n  latchkey keys rotate -o json",
		Args:    arguments(),
		RunE: env.asking(func(ctx context.Context, c *client.Client, _ []string) error {
			k, err := c.Keys.Rotate(ctx)
			if err != nil {
				return err
			}
			if k.State == "active" {
				return env.printChanged(k, "%s signs from now on", k.ID)
			}
			return env.printChanged(k, "%s signs from %s on", k.ID, exact(k.ActiveAt, env.now(), "its time"))
		}),
	}
}

func newKeysRevokeCommand(env *environment) *cobra.Command {
	var reason string
	var yes bool
	cmd := &cobra.Command{
		Use:   "revoke ID...",
		Short: "Withdraw keys, in an emergency",
		Long: `Withdraw keys. Nothing that they have signed counts any more: with this server
before the command returns, with others that share its store within seconds, and
with services that verify by themselves when they next get the published keys,
which is after keys.max_age at the latest. If the key that signs is among them, the
next one signs at once. Services that have the keys in a file need a new export.`,
		Example:           "  latchkey keys revoke ID --reason \"the machine was broken into\"\n  latchkey keys revoke ID --yes",
		Args:              arguments("ID..."),
		ValidArgsFunction: env.completeKeys,
		RunE: env.asking(func(ctx context.Context, c *client.Client, args []string) error {
			question := fmt.Sprintf("Withdraw %s and all that is signed by it?", strings.Join(args, ", "))
			if err := env.confirm(ctx, yes, question); err != nil {
				return err
			}
			return env.forEach(args, func(id string) error {
				k, err := c.Keys.Revoke(ctx, id, reason)
				if err != nil {
					return fmt.Errorf("revoking %s: %w", id, err)
				}
				return env.printChanged(k, "%s is withdrawn", k.ID)
			})
		}),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the audit log")
	addYesFlag(cmd, &yes)
	return cmd
}

// Forms in which keys are exported.
const (
	formPEM         = "pem"
	formCertificate = "certificate"
	formJWKS        = "jwks"
)

func newKeysExportCommand(env *environment) *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use:   "export [ID...]",
		Short: "Print public keys for services that read them from a file",
		Long: `Print public keys, for services that do not get them from the server at
/latchkey/.well-known/jwks.json. Nothing in them is secret.

  pem          public keys (PUBLIC KEY), as most programs read them
  certificate  certificates, signed by the keys themselves, as docker-registry's
               rootcertbundle wants them
  jwks         the set as the server publishes it, with each key under its RFC 7638
               thumbprint and under the id that docker-registry 2 knows it by

Without an ID all keys are printed that may be needed: the one that signs first,
the next one, and those that have signed what has not expired yet.`,
		Example: `  latchkey keys export > latchkey-keys.pem
  latchkey keys export ID --format pem > /etc/pulp/certs/token_public_key.pem
  latchkey keys export --format certificate > /etc/docker/registry/latchkey.pem`,
		Args:              arguments("[ID...]"),
		ValidArgsFunction: env.completeKeys,
		RunE: env.asking(func(ctx context.Context, c *client.Client, args []string) error {
			switch form {
			case formPEM, formCertificate:
				return env.exportPEM(ctx, c, form, args)
			case formJWKS:
				if len(args) > 0 {
					return &usageError{text: "the published set has all keys: leave out the ids"}
				}
				set, err := c.Keys.JWKS(ctx)
				if err != nil {
					return err
				}
				return env.printJSON(set)
			}
			return &usageError{text: fmt.Sprintf("--format: it is %s, %s or %s", formPEM, formCertificate, formJWKS)}
		}),
	}
	cmd.Flags().StringVar(&form, "format", formPEM, "pem, certificate or jwks")
	completeFlag(cmd, "format", cobra.FixedCompletions([]string{formPEM, formCertificate, formJWKS}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// exportPEM prints some keys, or all that count, the one that signs first.
func (env *environment) exportPEM(ctx context.Context, c *client.Client, form string, ids []string) error {
	known, err := c.Keys.List(ctx)
	if err != nil {
		return err
	}
	var keys []api.SigningKey
	for _, id := range ids {
		i := slices.IndexFunc(known, func(k api.SigningKey) bool { return k.ID == id })
		if i < 0 {
			return &client.Error{Problem: api.Problem{Status: 404, Code: api.CodeNotFound, Detail: "there is no key " + id}, Status: 404}
		}
		if known[i].Imported != nil {
			return &usageError{text: id + " is a key of another issuer, which has it: imported keys are not handed on"}
		}
		keys = append(keys, known[i])
	}
	for _, state := range []string{"active", "published", "retired"} {
		for _, k := range known {
			if len(ids) == 0 && k.State == state {
				keys = append(keys, k)
			}
		}
	}
	for _, k := range keys {
		text := k.PublicKey
		if form == formCertificate {
			text = k.Certificate
		}
		if _, err := fmt.Fprint(env.stdout, text); err != nil {
			return err
		}
	}
	return nil
}
