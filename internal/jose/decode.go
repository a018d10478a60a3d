package jose

import "fmt"

// Decoded is what a token says of itself. Nobody has vouched for it: it is for
// showing, and for nothing else.
type Decoded struct {
	Header map[string]any
	Claims Claims
}

// Decode reads a token without verifying it, as strictly as [Profile.Verify]
// does. The errors wrap [ErrMalformed].
func Decode(token string) (Decoded, error) {
	parts, err := split(token)
	if err != nil {
		return Decoded{}, err
	}
	header, err := object(parts.header)
	if err != nil {
		return Decoded{}, fmt.Errorf("%w: the header: %v", ErrMalformed, err)
	}
	claims, err := object(parts.payload)
	if err != nil {
		return Decoded{}, fmt.Errorf("%w: the payload: %v", ErrMalformed, err)
	}
	return Decoded{Header: header, Claims: claims}, nil
}
