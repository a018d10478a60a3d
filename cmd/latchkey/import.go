package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/dockerauth"
	"github.com/latchkey-auth/latchkey/internal/htpasswd"
	"github.com/latchkey-auth/latchkey/internal/password"
)

const importLong = `Take over users, and what they may do, from the files of other programs. Passwords
stay as they are: their bcrypt hashes come along, and are replaced by hashes of
our own when somebody logs in.

What can be taken over, what cannot, and why is told line by line before anything
is made. A user that is here already stays as it is, so that the same command can
be run again.`

func newImportCommand(env *environment) *cobra.Command {
	return online(env, noun("import", "Take over users from the files of other programs", importLong,
		"  latchkey import docker-auth auth_config.yml --dry-run\n  latchkey import htpasswd /etc/docker/registry/htpasswd --group readers",
		newImportDockerAuthCommand(env),
		newImportHtpasswdCommand(env),
	))
}

// takeover is what a file comes to.
type takeover struct {
	Users     []api.CreateAccount `json:"-"`
	Names     []importedUser      `json:"users"`
	Group     string              `json:"group,omitempty"` // to make; "" for none
	Grants    []string            `json:"group_grants,omitempty"`
	Anonymous []string            `json:"anonymous_grants,omitempty"`
	Notes     []dockerauth.Note   `json:"notes"`
}

// importedUser is a user without the hash.
type importedUser struct {
	Name   string   `json:"name"`
	Grants []string `json:"grants,omitempty"`
}

// importFlags are those of all importers.
type importFlags struct{ dryRun, yes bool }

func (f *importFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "only say what would be made; without a login, no server is asked")
	addYesFlag(cmd, &f.yes)
}

func newImportDockerAuthCommand(env *environment) *cobra.Command {
	var flags importFlags
	var o dockerauth.Options
	var group string
	cmd := &cobra.Command{
		Use:   "docker-auth FILE",
		Short: "Take over the users and the ACL of docker_auth",
		Long: `Take over the static users and the ACL of docker_auth's configuration. Each user
becomes an account, in a group that has what all of them may do.

docker_auth takes the first entry that matches, and grants add up. So an entry is
taken over only as far as no earlier one allows less of the same, and nobody may
do more than before. What depends on the address or the service is left out. A *
in a glob stops at a slash, and in a grant it does not: entries with one are left
out unless --widen is given. Regular expressions of texts, alternatives and .*
come over as they are.`,
		Example: `  latchkey import docker-auth auth_config.yml --dry-run
  latchkey import docker-auth auth_config.yml --widen --yes`,
		Args: arguments("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			usable, err := usableHash()
			if err != nil {
				return err
			}
			o.Usable = usable
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			plan, err := dockerauth.Read(f, o)
			if err != nil {
				return fmt.Errorf("reading %s: %w", args[0], err)
			}
			t := takeover{Group: group, Grants: plan.Group, Anonymous: plan.Anonymous, Notes: plan.Notes}
			for _, u := range plan.Users {
				t.Users = append(t.Users, api.CreateAccount{
					Name: u.Name, PasswordHash: u.Hash, Groups: []string{group}, Grants: u.Grants, Note: "from docker_auth",
				})
			}
			return env.takeOver(cmd.Context(), t, flags)
		},
	}
	cmd.Flags().BoolVar(&o.Widen, "widen", false, "take entries over, too, that come to allow more than before")
	cmd.Flags().StringVar(&group, "group", "docker-auth", "the `group` that all users are put into; made if need be")
	flags.add(cmd)
	return cmd
}

func newImportHtpasswdCommand(env *environment) *cobra.Command {
	var flags importFlags
	var groups, grants []string
	cmd := &cobra.Command{
		Use:   "htpasswd FILE",
		Short: "Take over the users of an htpasswd file",
		Long: `Take over the users of an htpasswd file whose hashes are bcrypt, as 'htpasswd -B'
makes them. Others are quick to guess, and are left out: give those users a new
password with 'latchkey user create'.

Such a file says nothing of what people may do. --grant and --group do, for all
that are taken over.`,
		Example: `  latchkey import htpasswd /etc/docker/registry/htpasswd --dry-run
  latchkey import htpasswd htpasswd --grant 'repository:*:pull,push' --group readers --yes`,
		Args: arguments("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			usable, err := usableHash()
			if err != nil {
				return err
			}
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			lines, err := htpasswd.Read(f)
			if err != nil {
				return fmt.Errorf("reading %s: %w", args[0], err)
			}
			var t takeover
			for _, l := range lines {
				note := dockerauth.Note{Line: l.Number, What: "user " + l.Name, Outcome: dockerauth.Taken, Text: "with its password"}
				if l.Problem == "" {
					if err := usable(l.Name, l.Hash); err != nil {
						l.Problem = err.Error()
					}
				}
				if l.Problem != "" {
					note.Outcome, note.Text = dockerauth.Left, l.Problem
				} else {
					t.Users = append(t.Users, api.CreateAccount{Name: l.Name, PasswordHash: l.Hash, Groups: groups, Grants: grants, Note: "from htpasswd"})
				}
				t.Notes = append(t.Notes, note)
			}
			return env.takeOver(cmd.Context(), t, flags)
		},
	}
	cmd.Flags().StringArrayVar(&grants, "grant", nil, "give each this `scope`; can be repeated")
	cmd.Flags().StringArrayVar(&groups, "group", nil, "make each a member of this `group`, which must be there; can be repeated")
	completeFlag(cmd, "group", env.completeGroups)
	flags.add(cmd)
	return cmd
}

// usableHash returns what says of a user whether it can be made here.
func usableHash() (func(name, hash string) error, error) {
	pool, err := password.New(password.Options{})
	if err != nil {
		return nil, err
	}
	return func(name, hash string) error {
		if !accounts.NameFits(name) {
			return errors.New("its name cannot be one here: 1 to 150 letters, digits and @ . + - _")
		}
		kind, err := pool.Foreign(hash)
		switch {
		case err != nil:
			return fmt.Errorf("its password cannot be taken over: %w", err)
		case !strings.HasPrefix(kind, "bcrypt "):
			return errors.New("its password is not a bcrypt hash")
		}
		return nil
	}, nil
}

// takeOver tells what there is, and makes it.
func (env *environment) takeOver(ctx context.Context, t takeover, flags importFlags) error {
	c, err := env.connect(ctx)
	offline := flags.dryRun && errors.Is(err, errNotLoggedIn)
	if err != nil && !offline {
		return err
	}
	if !offline {
		if err := t.leaveOthers(ctx, c); err != nil {
			return err
		}
	}
	slices.SortStableFunc(t.Notes, func(a, b dockerauth.Note) int { return a.Line - b.Line })
	for _, u := range t.Users {
		t.Names = append(t.Names, importedUser{u.Name, u.Grants})
	}
	if err := env.printTakeover(t); err != nil {
		return err
	}
	if offline {
		env.say("no server was asked, so that users who are there already are not known")
	}
	size := fmt.Sprintf("%d users and %d grants", len(t.Users), t.grants())
	switch {
	case flags.dryRun:
		env.say("nothing was made; there are %s to make", size)
		return nil
	case len(t.Users) == 0 && t.grants() == 0:
		env.say("there is nothing to make")
		return nil
	}
	if err := env.confirm(ctx, flags.yes, fmt.Sprintf("Make %s?", size)); err != nil {
		return err
	}
	return env.makeTakeover(ctx, c, t)
}

func (t takeover) grants() int {
	n := len(t.Grants) + len(t.Anonymous)
	for _, u := range t.Users {
		n += len(u.Grants)
	}
	return n
}

// leaveOthers takes out the users of whom there is one of that name here.
func (t *takeover) leaveOthers(ctx context.Context, c *client.Client) error {
	there := map[string]bool{}
	for a, err := range c.Accounts.All(ctx, client.AccountQuery{Source: "local", Limit: 1000}) {
		if err != nil {
			return err
		}
		there[a.Name] = true
	}
	t.Users = slices.DeleteFunc(t.Users, func(u api.CreateAccount) bool {
		if !there[u.Name] {
			return false
		}
		for i := range t.Notes {
			if n := &t.Notes[i]; n.What == "user "+u.Name {
				n.Outcome, n.Text = dockerauth.Left, "there is an account of this name already, which stays as it is"
			}
		}
		return true
	})
	return nil
}

// printTakeover prints the report: what becomes of each line, and what there is
// to make.
func (env *environment) printTakeover(t takeover) error {
	if env.flags.output == formatJSON {
		if t.Names == nil {
			t.Names = []importedUser{}
		}
		if t.Notes == nil {
			t.Notes = []dockerauth.Note{}
		}
		return env.printJSON(t)
	}
	if env.flags.quiet {
		for _, u := range t.Users {
			if err := env.printName(u.Name); err != nil {
				return err
			}
		}
		return nil
	}
	err := printList(env, t.Notes, nil, []column[dockerauth.Note]{
		{"LINE", func(n dockerauth.Note) string { return fmt.Sprint(n.Line) }},
		{"WHAT", func(n dockerauth.Note) string { return n.What }},
		{"IS", func(n dockerauth.Note) string { return string(n.Outcome) }},
		{"MORE", func(n dockerauth.Note) string { return n.Text }},
	})
	if err != nil {
		return err
	}
	var lines []detail
	for _, u := range t.Users {
		lines = append(lines, detail{"User " + u.Name, strings.Join(u.Grants, " ")})
	}
	lines = append(lines, detail{"Group " + t.Group, strings.Join(t.Grants, " ")}, detail{"Group anonymous", strings.Join(t.Anonymous, " ")})
	if lines = slices.DeleteFunc(lines, func(d detail) bool { return d.value == "" }); len(lines) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(env.stdout); err != nil {
		return err
	}
	return env.printOne(nil, lines)
}

// makeTakeover makes what there is to make. Each account is made whole or not at
// all; what is there already stays, so that this can be done again.
func (env *environment) makeTakeover(ctx context.Context, c *client.Client, t takeover) error {
	if t.Group != "" {
		if _, err := c.Groups.Create(ctx, api.CreateGroup{Name: t.Group}); err != nil && !errors.Is(err, client.ErrConflict) {
			return fmt.Errorf("making the group %s: %w", t.Group, err)
		}
	}
	for group, grants := range map[string][]string{t.Group: t.Grants, "anonymous": t.Anonymous} {
		for _, scope := range grants {
			if _, err := c.Grants.Create(ctx, api.CreateGrant{Group: group, Scope: scope}); err != nil && !errors.Is(err, client.ErrConflict) {
				return fmt.Errorf("granting %s to the group %s: %w", scope, group, err)
			}
		}
	}
	byName := map[string]api.CreateAccount{}
	var names []string
	for _, u := range t.Users {
		byName[u.Name] = u
		names = append(names, u.Name)
	}
	made := 0
	err := env.forEach(names, func(name string) error {
		if _, err := c.Accounts.Create(ctx, byName[name]); err != nil {
			return fmt.Errorf("making %s: %w", name, err)
		}
		made++
		return nil
	})
	env.say("%d users are made", made)
	return err
}
