package store

import (
	"context"
	"errors"
)

// Issuer adds tokens. [Updater.Update] could do it too; but this is the write
// that many callers wait for at the same time, and since all that it needs is
// known beforehand, a store does it for all of them together.
type Issuer interface {
	// Issue adds a token, its first secret and the event that tells of it, if
	// i.Admit lets it: all of it or nothing, and for good when it returns nil.
	// [ErrNotFound] when there is no such account, [ErrConflict] when the id,
	// the digest or the slot is taken; an error of i.Admit is returned as it
	// is. When ctx ends first, the error wraps ctx.Err(), and the token may or
	// may not be there.
	Issue(ctx context.Context, i Issue) error
}

// Issue is a token that is to be added.
type Issue struct {
	Token  Token // which was never used: LastUse is not looked at
	Secret Secret
	By     string // the id of the token that asks for it; "" where none does

	// Admit decides, by what is true until the token is there. It may be
	// called more than once and by any goroutine, while others wait.
	Admit func(Admission) (Event, error)
}

// Admission is what the decision on a new token rests on.
type Admission struct {
	Owner     string // name of the account
	Disabled  bool   // the account is
	Epoch     int64  // of the account
	MaxTokens int    // of the account
	Unrevoked int    // tokens of the account, as [TokenWriter.CountUnrevoked] counts them
	ByGone    bool   // the token that asks was revoked or is no more
}

// Check returns [ErrInvalid] for what no store can keep.
func (i Issue) Check() error {
	s := i.Secret
	s.TokenID = i.Token.ID
	return errors.Join(i.Token.Check(), s.Check())
}

// In adds the token within a transaction that may do other things besides. It
// is what [Issuer.Issue] does, one step after the other.
func (i Issue) In(tx Tx) error {
	if err := i.Check(); err != nil {
		return err
	}
	a, err := AdmissionIn(tx, i.Token.AccountID, i.By)
	if err != nil {
		return err
	}
	event, err := i.Admit(a)
	if err != nil {
		return err
	}
	if err := tx.InsertToken(i.Token, i.Secret); err != nil {
		return err
	}
	return tx.AppendEvent(event)
}

// AdmissionIn reads what the decision on a new token of an account rests on,
// and locks it until the transaction ends. [ErrNotFound] when there is no such
// account.
func AdmissionIn(tx Tx, accountID, by string) (Admission, error) {
	account, err := tx.LockAccount(accountID)
	if err != nil {
		return Admission{}, err
	}
	a := Admission{Owner: account.Name, Disabled: account.Disabled, Epoch: account.Epoch, MaxTokens: account.MaxTokens}
	if by != "" {
		t, err := tx.LockToken(by)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return Admission{}, err
		}
		a.ByGone = err != nil || !t.RevokedAt.IsZero()
	}
	a.Unrevoked, err = tx.CountUnrevoked(accountID)
	return a, err
}
