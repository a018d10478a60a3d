package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// described are the headers by which a proxy says what it was asked.
var described = []string{"X-Forwarded-For: 192.0.2.1", "X-Original-Method: GET", "X-Original-URI: /files/a/report.txt"}

const verifyPath = "/latchkey/verify"

// scenario is one comparison.
type scenario struct {
	name string
	run  func(context.Context, *bench, *stage) error
}

// stage is what the scenarios on one store share: a server with tokens.
type stage struct {
	store    string
	folder   string
	database string // as the configuration names it; "" for SQLite
	rows     string // the database of yardsticks
	tokens   []string
	listed   string // the file of tokens
	server   *subject
	first    startUp // on an empty database
}

var scenarios = []scenario{
	{"start", measureStart},
	{"check", measureCheck},
	{"junk", measureJunk},
	{"flood", measureFlood},
	{"signed", measureSigned},
	{"registry", measureRegistry},
	{"issue", measureIssue},
	{"gateway", measureGateway},
	{"first", measureFirst}, // last: it starts the server anew
}

// measureStore runs the scenarios on one store.
func (b *bench) measureStore(ctx context.Context, store string) error {
	fmt.Printf("\n== %s, %d live tokens of which %d are in use, %d connections, %d rounds of %s\n",
		store, b.tokens, b.used, b.conns, b.rounds, b.length)
	s, err := b.set(ctx, store)
	if err != nil {
		return err
	}
	defer b.stopServers()
	for _, sc := range scenarios {
		if !strings.HasPrefix(sc.name, b.only) {
			continue
		}
		if err := sc.run(ctx, b, s); err != nil {
			return fmt.Errorf("%s: %w", sc.name, err)
		}
	}
	return nil
}

// set makes a server on a store that is as full as was asked for.
func (b *bench) set(ctx context.Context, store string) (*stage, error) {
	s := &stage{store: store}
	var err error
	if s.folder, err = b.newFolder(); err != nil {
		return nil, err
	}
	if s.database, err = b.newDatabase(ctx, store); err != nil {
		return nil, err
	}
	s.rows = sqlitePrefix + filepath.Join(s.folder, "yardstick.db")
	if store == "postgres" {
		if s.rows, err = b.newDatabase(ctx, store); err != nil {
			return nil, err
		}
	}
	upstream, err := b.yardstick(ctx, "upstream")
	if err != nil {
		return nil, err
	}
	extra := "routes:\n  - {name: files, prefix: /files, upstream: 'http://" + upstream.addr + "', auth: required}\n"
	first, err := b.latchkey(ctx, s.folder, s.database, "") // makes the schema
	if err != nil {
		return nil, err
	}
	first.stop()
	s.first = first.start
	target := s.database
	if target == "" {
		target = sqlitePrefix + filepath.Join(s.folder, "data", "latchkey.db")
	}
	if err := fill(ctx, target, b.tokens-b.used); err != nil {
		return nil, fmt.Errorf("fill the store: %w", err)
	}
	if s.server, err = b.latchkey(ctx, s.folder, s.database, extra); err != nil {
		return nil, err
	}
	if err := s.server.makeRobots(ctx, b.conns); err != nil {
		return nil, err
	}
	if s.tokens, err = s.server.issue(ctx, b.used); err != nil {
		return nil, err
	}
	s.listed = filepath.Join(s.folder, "tokens")
	return s, os.WriteFile(s.listed, []byte(strings.Join(s.tokens, "\n")+"\n"), 0o600)
}

// checks are requests for a check, one for each token.
func checks(tokens []string) [][]byte {
	requests := make([][]byte, len(tokens))
	for i, t := range tokens {
		requests[i] = get(verifyPath, t, described...)
	}
	return requests
}

func checkRequest(token string) *http.Request {
	r, _ := http.NewRequest(http.MethodGet, "http://x"+verifyPath, nil) // a constant URL parses
	r.Header.Set("Authorization", "Bearer "+token)
	for _, h := range described {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	return r
}

func (b *bench) load(p *process, requests [][]byte, want int) load {
	return load{addr: p.addr, requests: requests, want: want, conns: b.conns}
}

// measureStart tells what a start takes, with nothing in the store and with all
// that was asked for. The first one makes the administrator, whose password it
// hashes.
func measureStart(_ context.Context, b *bench, s *stage) error {
	fmt.Printf("\nUntil the server is ready\n")
	for _, one := range []struct {
		name string
		startUp
	}{{"the first time", s.first}, {fmt.Sprintf("with %d tokens", b.tokens-b.used), s.server.start}} {
		fmt.Printf("  %-22s %8s, %.0f MiB resident then, %.0f at most; aim 40\n", one.name, one.took.Round(time.Millisecond), one.resident, one.most)
	}
	return nil
}

// measureCheck compares checks of tokens that are in use.
func measureCheck(ctx context.Context, b *bench, s *stage) error {
	answer, status, err := b.answerOf(s.server.addr, checkRequest(s.tokens[0]), s.folder)
	if err != nil {
		return err
	}
	bare, err := b.yardstick(ctx, "bare", "-answer", answer)
	if err != nil {
		return err
	}
	lookup, err := b.yardstick(ctx, "lookup", "-answer", answer, "-tokens", s.listed)
	if err != nil {
		return err
	}
	requests := checks(s.tokens)
	return b.compare(ctx, "A token in use, at /latchkey/verify", []*row{
		{name: "bare", process: bare, load: b.load(bare, requests, status)},
		{name: "hash and look up", process: lookup, load: b.load(lookup, requests, status)},
		{name: "latchkey", process: s.server.process, load: b.load(s.server.process, requests, status)},
	}, goal{"latchkey", "bare", 0.80}, goal{"latchkey", "hash and look up", 0.90})
}

// measureJunk compares the refusal of made-up tokens.
func measureJunk(ctx context.Context, b *bench, s *stage) error {
	junk := make([]string, 1000)
	for i := range junk {
		junk[i] = fmt.Sprintf("lkp_%038d", i)
	}
	answer, status, err := b.answerOf(s.server.addr, checkRequest(junk[0]), s.folder)
	if err != nil {
		return err
	}
	bare, err := b.yardstick(ctx, "bare", "-answer", answer)
	if err != nil {
		return err
	}
	requests := checks(junk)
	return b.compare(ctx, "Made-up tokens, at /latchkey/verify", []*row{
		{name: "bare", process: bare, load: b.load(bare, requests, status)},
		{name: "latchkey", process: s.server.process, load: b.load(s.server.process, requests, status)},
	}, goal{"latchkey", "bare", 0.90})
}

// floodClients is how many send wrong passwords without pause.
const floodClients = 8

// measureFlood compares checks with and without wrong passwords beside them.
func measureFlood(ctx context.Context, b *bench, s *stage) error {
	requests := checks(s.tokens)
	alone := &row{name: "alone", process: s.server.process, load: b.load(s.server.process, requests, http.StatusOK)}
	flooded := &row{name: "under a flood", process: s.server.process, load: b.load(s.server.process, requests, http.StatusOK)}
	flooded.beside = func(ctx context.Context) {
		var wg sync.WaitGroup
		for i := range floodClients {
			wg.Go(func() { flood(ctx, s.server.addr, i) })
		}
		wg.Wait()
	}
	return b.compare(ctx, fmt.Sprintf("Checks while %d clients send wrong passwords", floodClients), []*row{alone, flooded}, goal{"under a flood", "alone", 0.40})
}

// flood sends wrong passwords, each for another account so that the limit for
// one of them does not end it.
func flood(ctx context.Context, addr string, n int) {
	for i := 0; ctx.Err() == nil; i++ {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/latchkey/api/v1/tokens", strings.NewReader(string(tokenBody)))
		if err != nil {
			return
		}
		r.Header.Set("Content-Type", "application/json")
		r.SetBasicAuth(fmt.Sprintf("nobody-%d-%d-%d", n, i, time.Now().UnixNano()), "a-wrong-password")
		if res, err := http.DefaultClient.Do(r); err == nil {
			_ = res.Body.Close()
		}
	}
}

// measureFirst compares checks of tokens that are not in memory: each has its
// turn once in a round of more tokens than the cache has room for.
func measureFirst(ctx context.Context, b *bench, s *stage) error {
	s.server.stop()
	small, err := b.latchkey(ctx, s.folder, s.database, "check:\n  cache_entries: 1000\n")
	if err != nil {
		return err
	}
	s.server = small
	answer, status, err := b.answerOf(small.addr, checkRequest(s.tokens[0]), s.folder)
	if err != nil {
		return err
	}
	bare, err := b.yardstick(ctx, "bare", "-answer", answer)
	if err != nil {
		return err
	}
	if err := padRows(ctx, s.rows, b.tokens-b.used); err != nil {
		return err
	}
	reads, err := b.yardstick(ctx, "row", "-answer", answer, "-tokens", s.listed, "-database", s.rows)
	if err != nil {
		return err
	}
	requests := checks(s.tokens)
	return b.compare(ctx, "A token that is not in memory", []*row{
		{name: "bare", process: bare, load: b.load(bare, requests, status)},
		{name: "one row read", process: reads, load: b.load(reads, requests, status)},
		{name: "latchkey", process: small.process, load: b.load(small.process, requests, status)},
	}, goal{"latchkey", "bare", 0}, goal{"latchkey", "one row read", 0.75})
}

// measureIssue compares tokens made and stored for good before the answer.
func measureIssue(ctx context.Context, b *bench, s *stage) error {
	commit, err := b.yardstick(ctx, "commit", "-database", s.rows)
	if err != nil {
		return err
	}
	post := make([][]byte, len(s.server.robots))
	for i, robot := range s.server.robots {
		post[i] = fmt.Appendf(nil, "POST /latchkey/api/v1/tokens HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
			robot, len(tokenBody), tokenBody)
	}
	for _, conns := range []int{b.conns, 1} {
		one, other := b.load(commit, post, http.StatusCreated), b.load(s.server.process, post, http.StatusCreated)
		one.conns, other.conns = conns, conns
		err := b.compare(ctx, fmt.Sprintf("Tokens issued, clients at once: %d", conns), []*row{
			{name: "one row committed", process: commit, load: one},
			{name: "latchkey", process: s.server.process, load: other},
		}, goal{"latchkey", "one row committed", 0.70})
		if err != nil {
			return err
		}
	}
	return nil
}

// measureGateway compares the reverse proxy with the standard library's.
func measureGateway(ctx context.Context, b *bench, s *stage) error {
	if s.store != "sqlite" {
		return nil // the store has no part in it
	}
	upstream, err := b.yardstick(ctx, "upstream")
	if err != nil {
		return err
	}
	proxy, err := b.yardstick(ctx, "proxy", "-target", "http://"+upstream.addr)
	if err != nil {
		return err
	}
	requests := make([][]byte, len(s.tokens))
	for i, t := range s.tokens {
		requests[i] = get("/files/a/report.txt", t)
	}
	return b.compare(ctx, "A small answer through the gateway", []*row{
		{name: "bare reverse proxy", process: proxy, load: b.load(proxy, requests, http.StatusOK)},
		{name: "latchkey", process: s.server.process, load: b.load(s.server.process, requests, http.StatusOK)},
	}, goal{"latchkey", "bare reverse proxy", 0.90})
}
