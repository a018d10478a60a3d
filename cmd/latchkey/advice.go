package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/latchkey-auth/latchkey/client"
)

// advice says what to do about an error, in the order of what probably helps.
func (env *environment) advice(command *cobra.Command, err error) []string {
	var hints []string
	var advised *advisedError
	if errors.As(err, &advised) {
		hints = append(hints, advised.hint)
	}
	var usage *usageError
	var answer *client.Error
	switch {
	case errors.As(err, &usage):
		if usage.hint != "" {
			return append(hints, usage.hint)
		}
		if command != nil {
			hints = append(hints, fmt.Sprintf("run '%s --help' for how to use it", command.CommandPath()))
		}
	case errors.Is(err, errNotLoggedIn):
		hints = append(hints, fmt.Sprintf("run '%s', or set LATCHKEY_TOKEN", env.loginCommand()))
	case errors.Is(err, client.ErrUnreachable):
		hints = append(hints, env.unreachableAdvice(err))
	case errors.Is(err, client.ErrRedirect):
		hints = append(hints, "if the place that it points to is right, give its URL as the server")
	case errors.As(err, &answer):
		hints = append(hints, env.answerAdvice(answer)...)
	case errors.Is(err, client.ErrForeign):
		hints = append(hints, foreignAdvice(env.asked.server))
	}
	return hints
}

// answerAdvice says what to do about an error answer.
func (env *environment) answerAdvice(answer *client.Error) []string {
	var hints []string
	switch {
	case errors.Is(answer, client.ErrUnauthenticated):
		hints = append(hints, env.credentialAdvice())
	case errors.Is(answer, client.ErrForbidden):
		switch scope := answer.Problem.Scope; {
		case scope == "" && env.asked.token != "":
			hints = append(hints, "a token may be held to less than its owner is; to ask with a password instead, add --user NAME")
		case scope != "":
			hints = append(hints, fmt.Sprintf("the scope that is missing is %s; an administrator can give it with 'latchkey grant add'", scope))
		}
	case errors.Is(answer, client.ErrLimit):
		hints = append(hints, "'latchkey token list --state live' shows what could be revoked; an administrator can raise the limit with --max-tokens")
	case errors.Is(answer, client.ErrThrottled), errors.Is(answer, client.ErrUnavailable):
		hint := "try again later"
		if answer.RetryAfter > 0 {
			hint = "try again in " + shortDuration(answer.RetryAfter)
		}
		hints = append(hints, hint)
	}
	if errors.Is(answer, client.ErrForeign) {
		hints = append(hints, foreignAdvice(env.asked.server))
	}
	if id := answer.Problem.RequestID; id != "" && answer.Status >= 500 {
		hints = append(hints, fmt.Sprintf("the server's log has more, under the request id %s", id))
	}
	return hints
}

func foreignAdvice(server string) string {
	return fmt.Sprintf("is %s the URL of a Latchkey server? A proxy, or another program, seems to have answered", server)
}

// credentialAdvice depends on where the credential that was refused came from.
func (env *environment) credentialAdvice() string {
	switch env.asked.origin {
	case fromLogin:
		return fmt.Sprintf("your login has ended; run '%s' again", env.loginCommand())
	case fromTokenFlag, fromTokenVariable:
		return fmt.Sprintf("the token that %s gave is wrong, expired or revoked, or is not for %s", env.asked.origin, env.asked.server)
	case fromUserFlag, fromUserVariable:
		return "check the user name and the password; after a few failures the server asks you to wait"
	}
	return fmt.Sprintf("run '%s'", env.loginCommand())
}

// loginCommand is the command line that logs in to the server that was asked.
func (env *environment) loginCommand() string {
	if env.asked.server == "" {
		return "latchkey login SERVER"
	}
	return "latchkey login " + env.asked.server
}

// unreachableAdvice tells apart the ways in which a server can be out of reach.
func (env *environment) unreachableAdvice(err error) string {
	var (
		dns        *net.DNSError
		unknown    x509.UnknownAuthorityError
		hostname   x509.HostnameError
		invalid    x509.CertificateInvalidError
		notTLS     tls.RecordHeaderError
		timeout    net.Error
		serverHere = isLoopback(env.asked.server)
	)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED) && serverHere:
		return "is the server running? 'latchkey serve' starts one; --server names another"
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("is the server running, and is %s its URL?", env.asked.server)
	case errors.As(err, &dns):
		return "check the host name in the server's URL"
	case errors.As(err, &unknown):
		return "the server's certificate is not known here; --ca-file FILE trusts the certificates in a file"
	case errors.As(err, &hostname):
		return "the server's certificate is for another name; use the one that it is for"
	case errors.As(err, &invalid):
		return "the server's certificate is not valid now; is it expired, or is the clock here wrong?"
	case errors.As(err, &notTLS), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "the server does not speak TLS; if that is meant to be, its URL begins with http://"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "the server did not answer in time; whether it acted on the request is not known"
	}
	return "check the server's URL and the network in between"
}
