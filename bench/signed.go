package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/latchkey-auth/latchkey/api"
)

// mostSigned is how many access tokens are in use, at most.
const mostSigned = 2000

// pairBody asks for a pair whose access token outlives the measurement.
var pairBody = []byte(`{"name":"ci","expires_in":86400,"access_expires_in":3600}`)

// measureSigned compares checks of signed access tokens that are in use with a
// handler that gives the same answer without any check, and pairs that are
// issued with a handler that does nothing but sign.
func measureSigned(ctx context.Context, b *bench, s *stage) error {
	tokens, err := s.server.pairs(ctx, min(mostSigned, b.used))
	if err != nil {
		return err
	}
	answer, status, err := b.answerOf(s.server.addr, checkRequest(tokens[0]), s.folder)
	if err != nil {
		return err
	}
	bare, err := b.yardstick(ctx, "bare", "-answer", answer)
	if err != nil {
		return err
	}
	signed, opaque := checks(tokens), checks(s.tokens[:len(tokens)])
	err = b.compare(ctx, "A signed access token in use, at /latchkey/verify", []*row{
		{name: "bare", process: bare, load: b.load(bare, signed, status)},
		{name: "latchkey, opaque", process: s.server.process, load: b.load(s.server.process, opaque, status)},
		{name: "latchkey, signed", process: s.server.process, load: b.load(s.server.process, signed, status)},
	}, goal{"latchkey, signed", "bare", 0.80}, goal{"latchkey, signed", "latchkey, opaque", 0})
	if err != nil {
		return err
	}
	return b.measurePairs(ctx, s)
}

// measurePairs compares pairs that are issued.
func (b *bench) measurePairs(ctx context.Context, s *stage) error {
	sign, err := b.yardstick(ctx, "sign")
	if err != nil {
		return err
	}
	post := make([][]byte, len(s.server.robots))
	for i, robot := range s.server.robots {
		post[i] = fmt.Appendf(nil, "POST %s/token-pairs HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
			api.Prefix, robot, len(pairBody), pairBody)
	}
	return b.compare(ctx, fmt.Sprintf("Pairs issued, clients at once: %d", b.conns), []*row{
		{name: "one signature", process: sign, load: b.load(sign, post, http.StatusCreated)},
		{name: "latchkey", process: s.server.process, load: b.load(s.server.process, post, http.StatusCreated)},
	}, goal{"latchkey", "one signature", 0})
}

// pairs makes so many pairs over the API and returns their access tokens.
func (s *subject) pairs(ctx context.Context, n int) ([]string, error) {
	tokens := make([]string, 0, n)
	c := &http.Client{Timeout: time.Minute}
	for i := range n {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.addr+api.Prefix+"/token-pairs", bytes.NewReader(pairBody))
		if err != nil {
			return nil, err
		}
		r.Header.Set("Authorization", "Bearer "+s.robots[i%len(s.robots)])
		r.Header.Set("Content-Type", "application/json")
		res, err := c.Do(r)
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(io.LimitReader(res.Body, 1<<16))
		_ = res.Body.Close()
		var made api.TokenPair
		if err == nil && res.StatusCode != http.StatusCreated {
			err = fmt.Errorf("issue a pair: %s: %.1000s", res.Status, text)
		}
		if err = errors.Join(err, json.Unmarshal(text, &made)); err != nil {
			return nil, err
		}
		tokens = append(tokens, made.AccessToken)
	}
	return tokens, nil
}
