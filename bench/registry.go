package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/latchkey-auth/latchkey/api"
)

const (
	registryScope = "scope=repository:team/app:pull,push"
	registryUser  = "bench-registry"
	registryPass  = "password-of-the-bench"
)

// measureRegistry compares the realm of registries with a handler that does
// nothing but sign, and with docker_auth, if -docker-auth names it, which asks
// for the same with the same user's password.
func measureRegistry(ctx context.Context, b *bench, s *stage) error {
	token, err := s.server.registryUser(ctx)
	if err != nil {
		return err
	}
	sign, err := b.yardstick(ctx, "sign")
	if err != nil {
		return err
	}
	ours := realmRequest("/token/", s.server.addr, registryUser, token)
	rows := []*row{
		{name: "one signature", process: sign, load: b.load(sign, ours, http.StatusCreated)},
		{name: "latchkey, token", process: s.server.process, load: b.load(s.server.process, ours, http.StatusOK)},
	}
	goals := []goal{{"latchkey, token", "one signature", 0.66}} // 1.5 times its cost
	if b.dockerAuth != "" {
		other, err := b.startDockerAuth(ctx)
		if err != nil {
			return err
		}
		rows = append(rows, &row{name: "docker_auth", process: other, load: b.load(other, realmRequest("/auth", "bench", registryUser, registryPass), http.StatusOK)})
		goals = append(goals, goal{"latchkey, token", "docker_auth", 20})
	}
	return b.compare(ctx, fmt.Sprintf("Tokens for a registry, clients at once: %d", b.conns), rows, goals...)
}

// registryUser makes a user with a right in the registry, and a token of theirs.
func (s *subject) registryUser(ctx context.Context) (string, error) {
	_, err := s.admin.Accounts.Create(ctx, api.CreateAccount{Name: registryUser, Password: registryPass, Grants: []string{"repository:team/*:pull,push"}})
	if err != nil {
		return "", err
	}
	made, err := s.admin.Tokens.Create(ctx, api.CreateToken{Name: "registry", Owner: registryUser})
	return made.Secret, err
}

// realmRequest asks for a token as docker and podman do.
func realmRequest(path, service, user, password string) [][]byte {
	basic := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	return [][]byte{fmt.Appendf(nil, "GET %s?account=%s&service=%s&%s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic %s\r\n\r\n",
		path, user, service, registryScope, basic)}
}

// startDockerAuth starts the docker_auth that -docker-auth names, with one user
// of a cheap hash and a key as ours is.
func (b *bench) startDockerAuth(ctx context.Context) (*process, error) {
	folder, err := b.newFolder()
	if err != nil {
		return nil, err
	}
	key, certificate := filepath.Join(folder, "key.pem"), filepath.Join(folder, "certificate.pem")
	if err := writeKey(key, certificate); err != nil {
		return nil, err
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(registryPass), 5) // as htpasswd makes them
	if err != nil {
		return nil, err
	}
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(folder, "config.yml")
	text := fmt.Sprintf(`server: {addr: %q}
token: {issuer: bench, expiration: 300, certificate: %q, key: %q}
users:
  %s: {password: %q}
acl:
  - match: {account: %[4]s, name: "team/*"}
    actions: [pull, push]
`, addr, certificate, key, registryUser, hash)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	p, err := startServer(ctx, "docker_auth", addr, nil, b.dockerAuth, "--logtostderr=false", config)
	if err != nil {
		return nil, err
	}
	b.started = append(b.started, p)
	return p, nil
}

// writeKey writes a key of ES256 and a certificate that it signs itself.
func writeKey(key, certificate string) error {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	private, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		return err
	}
	for file, block := range map[string]*pem.Block{key: {Type: "EC PRIVATE KEY", Bytes: private}, certificate: {Type: "CERTIFICATE", Bytes: signed}} {
		var b strings.Builder
		if err := pem.Encode(&b, block); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
			return err
		}
	}
	return nil
}
