package jose

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// Header is the protected header of a token that is to be signed. The algorithm
// is the key's.
type Header struct {
	// Type says what kind of token it is, so that none is taken for another
	// (RFC 8725 section 3.11). It is needed.
	Type string

	// KeyID is the id by which verifiers find the key; "" is [Key.ID].
	KeyID string

	// Chain is certificates in DER, the key's own first, for verifiers that
	// have no other way to the key (x5c).
	Chain [][]byte
}

// errUnsigned says that there was nothing to sign or nothing to sign with.
var errUnsigned = errors.New("the token cannot be signed")

// Sign makes a token in compact serialization. Claims are anything that
// encodes to a JSON object.
func (k *Key) Sign(h Header, claims any) (string, error) {
	if k == nil || k.private == nil || h.Type == "" {
		return "", fmt.Errorf("%w: it needs a private key and a type", errUnsigned)
	}
	if h.KeyID == "" {
		h.KeyID = k.id
	}
	header, err := json.Marshal(struct {
		Algorithm Algorithm `json:"alg"`
		Type      string    `json:"typ"`
		KeyID     string    `json:"kid"`
		Chain     [][]byte  `json:"x5c,omitempty"` // encoding/json writes bytes as RFC 7515 section 4.1.6 wants them
	}{k.alg, h.Type, h.KeyID, h.Chain})
	if err != nil {
		return "", fmt.Errorf("%w: %v", errUnsigned, err)
	}
	payload, err := json.Marshal(claims)
	if err != nil || len(payload) == 0 || payload[0] != '{' {
		return "", fmt.Errorf("%w: the claims are no JSON object", errUnsigned)
	}
	b64 := base64.RawURLEncoding
	out := make([]byte, 0, b64.EncodedLen(len(header))+b64.EncodedLen(len(payload))+2+b64.EncodedLen(newRSABits/8))
	out = b64.AppendEncode(out, header)
	out = append(out, '.')
	out = b64.AppendEncode(out, payload)
	signature, err := k.alg.sign(k.private, out)
	if err != nil {
		return "", fmt.Errorf("%w: %v", errUnsigned, err)
	}
	out = append(out, '.')
	out = b64.AppendEncode(out, signature)
	return string(out), nil
}
