package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

// helper answers the clients of registries.
type helper struct{ env *environment }

// registryScope is what a client needs: everything at registries, of what its
// owner has, and nothing else.
var registryScope = []string{"repository:*:*", "registry:*:*"}

// shortToken is a token that was handed to clients.
type shortToken struct {
	Server    string    `json:"server"`
	Login     string    `json:"login"` // the id of the token that it was made with
	Account   string    `json:"account"`
	Token     string    `json:"token"` // the secret
	ExpiresAt time.Time `json:"expires_at"`
}

// shortTokens keeps those tokens, by registry, in a file beside the logins. It
// is written by each client that needs a new one: of two at a time one token is
// lost, and ends by itself.
type shortTokens struct{ path string }

func (c credentialFile) shortTokens() shortTokens {
	return shortTokens{filepath.Join(filepath.Dir(c.path), "registry-tokens.json")}
}

// load reads the tokens; what cannot be read is as good as none.
func (s shortTokens) load() map[string]shortToken {
	kept := map[string]shortToken{}
	text, err := readPrivate(s.path)
	if err != nil || json.Unmarshal(text, &kept) != nil {
		return map[string]shortToken{}
	}
	return kept
}

// save keeps those of the tokens that have not expired.
func (s shortTokens) save(kept map[string]shortToken, now time.Time) error {
	live := map[string]shortToken{}
	for host, t := range kept {
		if t.ExpiresAt.After(now) {
			live[host] = t
		}
	}
	text, err := json.MarshalIndent(live, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the tokens: %w", err)
	}
	if err := replaceFile(s.path, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("storing the tokens for registries: %w", err)
	}
	return nil
}

// known reads the logins and finds the server for a registry.
func (h *helper) known(host string) (credentialFile, credentials, registry, error) {
	file, err := h.env.credentialFile()
	if err != nil {
		return file, credentials{}, registry{}, err
	}
	known, err := file.load()
	if err != nil {
		return file, known, registry{}, err
	}
	r, found := known.registry(host)
	if !found {
		return file, known, r, errNoCredentials
	}
	return file, known, r, nil
}

// get answers with a token, one that was made before where it will do.
func (h *helper) get(ctx context.Context, in io.Reader) (any, error) {
	given, host, err := readRegistry(in)
	if err != nil {
		return nil, err
	}
	file, known, r, err := h.known(host)
	if err != nil {
		return nil, err
	}
	login, found := known.Servers[r.Server]
	if !found {
		return nil, errNoCredentials // the client goes on as nobody, as after 'docker logout'
	}
	now := h.env.now()
	tokens := file.shortTokens()
	kept := tokens.load()
	short := kept[host]
	if short.Login != login.TokenID || short.Server != r.Server || short.ExpiresAt.Sub(now) <= r.life()/3 {
		if short, err = h.shortToken(ctx, host, r, login); err != nil {
			return nil, err
		}
		kept[host] = short
		if err := tokens.save(kept, now); err != nil {
			h.env.warn("%v", err) // the client gets its token all the same
		}
	}
	return helperLogin{ServerURL: given, Username: short.Account, Secret: short.Token}, nil
}

// shortToken has the server make a token for a registry with a login.
func (h *helper) shortToken(ctx context.Context, host string, r registry, l login) (shortToken, error) {
	now := h.env.now()
	conn := connection{server: r.Server, caFile: firstOf(h.env.getenv("LATCHKEY_CA_FILE"), l.CAFile), origin: fromLogin, token: l.Token}
	h.env.asked = conn
	c, err := conn.client()
	if err != nil {
		return shortToken{}, err
	}
	name, err := os.Hostname()
	if err != nil {
		name = "unknown"
	}
	body := api.CreateToken{Name: helperName + "@" + name, Scope: registryScope, Labels: map[string]string{"registry": host}}
	ends := now.Add(r.life())
	if l.ExpiresAt == nil || l.ExpiresAt.After(ends.Add(time.Minute)) {
		seconds := int64(r.life() / time.Second)
		body.ExpiresIn = &seconds
	} else {
		ends = *l.ExpiresAt // by itself no token outlives the one that it was made with
	}
	made, err := c.Tokens.Create(ctx, body)
	if errors.Is(err, client.ErrForbidden) {
		// A login that has a scope of its own: what it makes has the same.
		body.Scope = nil
		made, err = c.Tokens.Create(ctx, body)
	}
	if err != nil {
		return shortToken{}, err
	}
	return shortToken{Server: r.Server, Login: l.TokenID, Account: made.Owner, Token: made.Secret, ExpiresAt: ends}, nil
}

// identityTokenUser is the user name under which docker stores an identity
// token (docker/cli, cli/config/credentials/native_store.go).
const identityTokenUser = "<token>"

// store logs in with what a client was told.
func (h *helper) store(ctx context.Context, in io.Reader) (any, error) {
	var given helperLogin
	if err := json.NewDecoder(io.LimitReader(in, maxHelperInput)).Decode(&given); err != nil {
		return nil, errors.New("standard input is no login in JSON") // the error might quote the secret
	}
	host, err := registryOf(given.ServerURL)
	switch {
	case errors.Is(err, errNoServerURL):
		return nil, err
	case given.Username == "":
		return nil, errNoUsername
	}
	file, known, r, err := h.known(host)
	if errors.Is(err, errNoCredentials) {
		return nil, fmt.Errorf("nothing is stored: it is not known which Latchkey's tokens %s takes; run 'latchkey credential-helper use %s --server URL'", host, host)
	}
	if err != nil {
		return nil, err
	}
	login, loggedIn := known.Servers[r.Server]
	conn := connection{server: r.Server, caFile: firstOf(h.env.getenv("LATCHKEY_CA_FILE"), login.CAFile), origin: fromUserFlag}
	h.env.asked = conn
	switch {
	case given.Secret == "":
		return nil, errors.New("there is no password")
	case given.Secret == file.shortTokens().load()[host].Token || given.Secret == login.Token:
		return nil, nil // what we gave comes back: docker stores what it has just checked
	case given.Username == identityTokenUser:
		return nil, h.refuseIdentityToken(ctx, conn, given.Secret, loggedIn)
	}
	conn.user, conn.password = given.Username, given.Secret
	body, err := loginRequest{}.token()
	if err != nil {
		return nil, err
	}
	_, err = h.env.keepLogin(ctx, file, known, conn, body)
	return nil, err
}

// refuseIdentityToken ends a token that docker wants kept in place of the
// password that it was told: the login makes tokens by itself.
func (h *helper) refuseIdentityToken(ctx context.Context, conn connection, secret string, loggedIn bool) error {
	c, err := conn.client()
	if err != nil {
		return err
	}
	h.env.endToken(ctx, c, "of docker", secret)
	if loggedIn {
		return nil
	}
	return fmt.Errorf("no identity token is stored; run '%s', and docker needs no login of its own", h.env.loginCommand())
}

// erase logs out.
func (h *helper) erase(ctx context.Context, in io.Reader) (any, error) {
	_, host, err := readRegistry(in)
	if err != nil {
		return nil, err
	}
	_, known, r, err := h.known(host)
	if err != nil {
		return nil, err
	}
	if _, found := known.Servers[r.Server]; !found {
		return nil, errNoCredentials
	}
	return nil, h.env.logout(ctx, []string{r.Server}, false)
}

// list names the registries with the accounts that they would see.
func (h *helper) list(context.Context, io.Reader) (any, error) {
	file, err := h.env.credentialFile()
	if err != nil {
		return nil, err
	}
	known, err := file.load()
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for host, r := range known.Registries {
		if l, ok := known.Servers[r.Server]; ok {
			found[host] = l.Account
		}
	}
	return found, nil
}

// endShortTokens ends what clients got from a login that ends. Failing to is no
// reason to go on being logged in: they end within minutes.
func (env *environment) endShortTokens(ctx context.Context, c *client.Client, file credentialFile, server string) {
	tokens := file.shortTokens()
	kept := tokens.load()
	ended := false
	for host, t := range kept {
		if t.Server != server || strings.TrimSpace(t.Token) == "" {
			continue
		}
		if c != nil && t.ExpiresAt.After(env.now()) {
			env.endToken(ctx, c, "for "+host, t.Token)
		}
		delete(kept, host)
		ended = true
	}
	if !ended {
		return
	}
	if err := tokens.save(kept, env.now()); err != nil {
		env.warn("%v", err)
	}
}
