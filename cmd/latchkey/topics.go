package main

import "github.com/spf13/cobra"

const exitCodesLong = `How latchkey ends says what happened, for scripts:

  0  it worked
  1  it did not, for a reason that is not listed here
  2  the command line, or a value in it, is wrong
  3  not logged in, or the credential was refused
  4  the credential is good, but does not reach so far
  5  there is no such thing
  6  it already exists, or there are as many as there may be
  7  the server cannot be reached, or cannot serve now: trying later may help

Results are written to standard output, everything else to standard error.`

const environmentLong = `What latchkey takes from the environment, when it speaks to a server:

  LATCHKEY_SERVER    the server's URL; --server goes before it
  LATCHKEY_TOKEN     the secret of a token; --token and --user go before it
  LATCHKEY_USER      a user name, used with LATCHKEY_PASSWORD; --user goes
                     before it
  LATCHKEY_PASSWORD  the password that goes with --user or LATCHKEY_USER
  LATCHKEY_CA_FILE   PEM certificates to trust; --ca-file goes before it
  XDG_CONFIG_HOME    the folder in which latchkey/credentials.json keeps what
                     'latchkey login' got; default $HOME/.config

A credential is looked for in this order: --token, --user, LATCHKEY_TOKEN,
LATCHKEY_USER, what 'latchkey login' got for this server.`

const scopesLong = `A scope is a rule that allows something:

  TYPE:NAME:ACTIONS

  repository:prod/*:pull                 pull images below prod/
  repository:${account}/*:pull,push      in a grant: what is below one's own name
  registry:catalog:*                     list the images of a registry
  path:/pulp/content/prod/*:read         download what is published under prod
  path:/pulp/api/v3/*:read,write         use a REST API, except for deleting
  latchkey:tokens:read                   see tokens in Latchkey itself

A * matches anything, but does not leave its part of the rule. Actions are
separated by commas; at a path, read, write and delete stand for the HTTP
methods.

A grant gives a rule to an account or a group. A token can do what its own
rules and the grants of its owner both allow; a token without rules of its own
can do all that its owner can.`

// helpTopics are texts that belong to no single command.
func helpTopics() []*cobra.Command {
	return []*cobra.Command{
		{Use: "exit-codes", Short: "What the exit codes mean", Long: exitCodesLong},
		{Use: "environment", Short: "Environment variables that count", Long: environmentLong},
		{Use: "scopes", Short: "How to write what a token may do", Long: scopesLong},
	}
}
