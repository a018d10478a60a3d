package tokens

// Reason says why a token was refused. It is for the audit log and the
// administrator; outward a bad token gets one answer.
type Reason string

// Reasons.
const (
	ReasonMalformed Reason = "malformed" // this server never made such a token
	ReasonUnknown   Reason = "unknown"   // well-formed, but there is no such token
	ReasonExpired   Reason = "expired"
	ReasonIdle      Reason = "idle"    // unused for too long
	ReasonRevoked   Reason = "revoked" // by itself or with all of its account's
	ReasonRotated   Reason = "rotated" // the old secret of a rotation, past its overlap
	ReasonDisabled  Reason = "disabled"
	ReasonAddress   Reason = "address" // not from where it may be used
	ReasonKind      Reason = "kind"    // good for something else than what was asked
	ReasonReused    Reason = "reused"  // a refresh token that was used before
	ReasonClient    Reason = "client"  // a refresh token of another client
)

// Refusal says that a presented token does not count, and why. The ids are
// empty when the token is not known.
type Refusal struct {
	Reason      Reason
	TokenID     string
	AccountID   string
	AccountName string
}

// Error returns the reason, for logs.
func (r *Refusal) Error() string { return "the token is refused: " + string(r.Reason) }

// Refusals about tokens that nothing is known of.
var (
	refusedMalformed = &Refusal{Reason: ReasonMalformed}
	refusedUnknown   = &Refusal{Reason: ReasonUnknown}
)
