package keyring

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/latchkey-auth/latchkey/internal/jose"
)

// document is the published set, good until one of its keys changes its state.
type document struct {
	body  []byte
	etag  string
	until time.Time // zero: nothing is to come
}

// JWKS returns the public keys for verifiers (RFC 7517 section 5), with an
// entity tag that changes when they do. Each key is there twice, under its
// thumbprint and under its libtrust id, so that a token can name it by either.
func (s *Service) JWKS(ctx context.Context) (body []byte, etag string, err error) {
	have, err := s.latest(ctx)
	if err != nil {
		return nil, "", err
	}
	now := s.now()
	d := have.document.Load()
	if d == nil || (!d.until.IsZero() && !now.Before(d.until)) {
		if d, err = have.publish(now); err != nil {
			return nil, "", err
		}
		have.document.Store(d)
	}
	return d.body, d.etag, nil
}

func (s *set) publish(now time.Time) (*document, error) {
	d := &document{}
	out := jose.JWKS{Keys: []jose.JWK{}}
	for _, h := range s.own(now) {
		for _, id := range []string{h.key.ID(), h.key.LibtrustID()} {
			j, err := h.key.JWK(id)
			if err != nil {
				return nil, fmt.Errorf("publish the signing key %s: %w", h.record.ID, err)
			}
			out.Keys = append(out.Keys, j)
		}
		for _, at := range []time.Time{h.record.ActiveAt, h.record.RetireAt, endOf(h.record)} {
			if at.After(now) && sooner(at, d.until) {
				d.until = at
			}
		}
	}
	var err error
	if d.body, err = json.Marshal(out); err != nil {
		return nil, fmt.Errorf("publish the signing keys: %w", err)
	}
	sum := sha256.Sum256(d.body)
	d.etag = `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	return d, nil
}
