package jose

import "fmt"

// Opened is a token of which it is known who has signed it. Nothing is judged
// beyond that: neither what kind of token it is, nor for whom, nor whether its
// time has come or gone.
type Opened struct {
	Token

	// Type is the media type that the header says, in lower case and without
	// "application/"; "" if it says none.
	Type string
}

// Open verifies what can be verified by the keys alone, for those who have the
// rest judged by somebody else: the form, the signature, and that the dates are
// dates and one of them an end. The errors are those of [Profile.Verify]; with
// [ErrUnknownKey] and [ErrSignature], Type is what the header says.
func Open(token string, keys Keys) (Opened, error) {
	var o Opened
	parts, err := split(token)
	if err != nil {
		return o, err
	}
	header, err := readHeader(parts.header)
	if err != nil {
		return o, err
	}
	if kind, ok := header["typ"].(string); ok {
		o.Type = mediaType(kind)
	}
	if o.Key, err = named(header, keys); err != nil {
		return o, err
	}
	if o.Key.verify([]byte(token[:parts.signed]), parts.signature) != nil {
		return o, ErrSignature
	}
	if o.Claims, err = object(parts.payload); err != nil {
		return o, fmt.Errorf("%w: the payload: %v", ErrMalformed, err)
	}
	if err := o.readDates(); err != nil {
		return o, err
	}
	return o, nil
}
