package accounts

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/password"
	"github.com/latchkey-auth/latchkey/internal/scope"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/store"
)

// AdminName is the local user that is made at the first start.
const AdminName = "admin"

// everybodysGrants are what every account may do unless an administrator
// changes it: pass the doors, where the service behind decides for the user
// that it is told of, and manage their own tokens.
var everybodysGrants = []string{
	"path:/*:*",
	scope.TypeLatchkey + ":tokens:*",
	scope.TypeLatchkey + ":" + Self + ":*",
}

// Bootstrap makes the administrator and everybody's grants in a store that has
// no account yet; in any other it does nothing. It returns the administrator's
// password if it made one: either the given one or, when that is empty, a
// random one, which is kept nowhere else (S73).
func (s *Service) Bootstrap(ctx context.Context, given secret.Text) (made secret.Text, err error) {
	some, err := s.store.Accounts(ctx, store.AccountQuery{Limit: 1})
	if err != nil || len(some) > 0 {
		return secret.Text{}, err
	}
	text := given
	if text.Empty() {
		text = secret.New(NewPassword())
	} else if err := password.CheckNew(text.Reveal()); err != nil {
		return secret.Text{}, fmt.Errorf("the administrator's password from the environment cannot be used: %w", err)
	}
	encoded, err := s.passwords.Hash(ctx, text.Reveal())
	if err != nil {
		return secret.Text{}, err
	}
	now := s.now().UTC()
	admin := store.Account{ID: newAccountID(now), Kind: store.User, Name: AdminName, Source: Local, PasswordHash: encoded, CreatedAt: now}
	admin.Subject = admin.ID
	err = s.update(ctx, groupsChanged(now), func(tx store.Tx) error {
		if err := tx.InsertAccount(admin); err != nil {
			return err
		}
		if err := tx.InsertGrant(newGrant(admin.ID, "", "*:*:*", nil, now)); err != nil {
			return err
		}
		for _, rule := range everybodysGrants {
			if err := tx.InsertGrant(newGrant("", store.GroupEveryone, rule, nil, now)); err != nil {
				return err
			}
		}
		detail := s.createdDetail(admin, nil, []string{"*:*:*"})
		detail["why"], detail[store.GroupEveryone] = "first start", strings.Join(everybodysGrants, " ")
		return done(ctx, tx, now, nil, "account.create", admin.ID, detail)
	})
	if errors.Is(err, store.ErrConflict) { // another node was first
		return secret.Text{}, nil
	}
	return text, err
}
