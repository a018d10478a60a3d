package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/client"
)

// subject is a Latchkey under measurement.
type subject struct {
	*process
	folder string
	config string
	admin  *client.Client
	robots []string // tokens of robots, each of which makes tokens for itself
	start  startUp
}

// startUp is what it took until a server did its work.
type startUp struct {
	took           time.Duration
	resident, most float64 // memory in MiB: then, and the most until then
}

const adminPassword = "a-password-of-the-benchmark"

// build makes the binary that is measured.
func build(ctx context.Context, path string) error {
	out, err := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", path, "github.com/latchkey-auth/latchkey/cmd/latchkey").CombinedOutput()
	if err != nil {
		return fmt.Errorf("build latchkey: %w\n%s", err, out)
	}
	return nil
}

// startLatchkey starts a server with a folder of its own. What extra says is
// added to the configuration.
func startLatchkey(ctx context.Context, binary, folder, database, extra string) (*subject, error) {
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	s := &subject{folder: folder, config: filepath.Join(folder, "latchkey.yaml")}
	text := fmt.Sprintf("listen: %s\ndata: %s\ntrusted_proxies: [127.0.0.1]\ntokens:\n  max_per_account: 10000000\n", addr, filepath.Join(folder, "data"))
	if database != "" {
		text += "database: " + database + "\n"
	}
	if err := os.WriteFile(s.config, []byte(text+extra), 0o600); err != nil {
		return nil, err
	}
	env := []string{"LATCHKEY_ADMIN_PASSWORD=" + adminPassword}
	began := time.Now()
	if s.process, err = startServer(ctx, "latchkey", addr, env, binary, "serve", "--config", s.config); err != nil {
		return nil, err
	}
	if err := s.ready(ctx); err != nil {
		s.stop()
		return nil, err
	}
	s.start = startUp{time.Since(began), s.memory(), s.peak()}
	s.admin, err = client.New("http://"+addr, client.Options{User: "admin", Password: adminPassword})
	return s, err
}

// ready waits until the server does its work; it listens before.
func (s *subject) ready(ctx context.Context) error {
	for until := time.Now().Add(time.Minute); time.Now().Before(until) && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		res, err := http.Get("http://" + s.addr + "/latchkey/readyz")
		if err != nil {
			continue
		}
		_ = res.Body.Close()
		if res.StatusCode == http.StatusOK {
			return nil
		}
	}
	return fmt.Errorf("latchkey is not ready; it said: %s", s.output())
}

// makeRobots makes the accounts that ask for tokens, each with a token of its
// own, so that no password is hashed on the way.
func (s *subject) makeRobots(ctx context.Context, n int) error {
	for i := range n {
		name := fmt.Sprintf("bench-%d-%d", i, time.Now().UnixNano())
		if _, err := s.admin.Accounts.Create(ctx, api.CreateAccount{Kind: "robot", Name: name}); err != nil {
			return err
		}
		made, err := s.admin.Tokens.Create(ctx, api.CreateToken{Name: "asks", Owner: name})
		if err != nil {
			return err
		}
		s.robots = append(s.robots, made.Secret)
	}
	return nil
}

// tokenBody asks for a token as a client would.
var tokenBody = []byte(`{"name":"ci","expires_in":86400}`)

// issue makes n tokens over the API and returns their secrets.
func (s *subject) issue(ctx context.Context, n int) ([]string, error) {
	secrets := make([]string, n)
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	httpClient := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: time.Minute}
	for range 64 {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n) && failed.Load() == nil; i = next.Add(1) - 1 {
				secret, err := s.issueOne(ctx, httpClient, s.robots[i%int64(len(s.robots))])
				if err != nil {
					failed.Store(&err)
					return
				}
				secrets[i] = secret
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return nil, *err
	}
	return secrets, nil
}

func (s *subject) issueOne(ctx context.Context, c *http.Client, robot string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.addr+api.Prefix+"/tokens", bytes.NewReader(tokenBody))
	if err != nil {
		return "", err
	}
	r.Header.Set("Authorization", "Bearer "+robot)
	r.Header.Set("Content-Type", "application/json")
	res, err := c.Do(r)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
		return "", fmt.Errorf("issue a token: %s: %s", res.Status, text)
	}
	var made api.NewToken
	err = json.NewDecoder(res.Body).Decode(&made)
	return made.Secret, err
}
