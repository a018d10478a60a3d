package restapi

import (
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/internal/accounts"
	"github.com/latchkey-auth/latchkey/internal/fault"
	"github.com/latchkey-auth/latchkey/internal/identity"
	"github.com/latchkey-auth/latchkey/internal/secret"
	"github.com/latchkey-auth/latchkey/internal/store"
)

func (c *call) whoAmI() (answer, error) {
	id := c.caller
	out := api.WhoAmI{
		Account: id.Name, ID: id.AccountID, Kind: id.Kind, Source: id.Source,
		Groups: nonNil(id.Groups), Method: string(id.Method), Scope: id.Effective.Strings(),
	}
	if id.Method == identity.Token {
		t, err := c.Tokens.Own(c.ctx, id)
		if err != nil {
			return answer{}, err
		}
		shown := tokenOf(t, id.Name, string(store.TokenLive))
		out.Token = &shown
	}
	return ok(out)
}

func (c *call) changePassword() (answer, error) {
	var in api.SetPassword
	if err := c.read(&in); err != nil {
		return answer{}, err
	}
	return answer{}, c.Accounts.ChangePassword(c.ctx, c.caller, secret.New(in.Current), secret.New(in.New), in.KeepTokens)
}

func (c *call) setPassword() (answer, error) {
	var in api.SetPassword
	if err := c.read(&in); err != nil {
		return answer{}, err
	}
	if in.Current != "" {
		return answer{}, fault.Invalidf("current", "is for changing one's own password")
	}
	a, err := c.Accounts.Resolve(c.ctx, c.r.PathValue("name"))
	if err != nil {
		return answer{}, err
	}
	return answer{}, c.Accounts.SetPassword(c.ctx, c.caller, a.ID, secret.New(in.New), in.KeepTokens)
}

func (c *call) listAccounts() (answer, error) {
	kind, err := c.query.oneOf("kind", string(store.User), string(store.Robot))
	if err != nil {
		return answer{}, err
	}
	q := store.AccountQuery{Kind: store.AccountKind(kind), Source: c.query["source"], NamePrefix: c.query["name"]}
	if q.Disabled, err = c.query.bool("disabled"); err != nil {
		return answer{}, err
	}
	if q.Limit, err = c.query.limit(); err != nil {
		return answer{}, err
	}
	after, err := c.after()
	if err != nil {
		return answer{}, err
	}
	q.AfterName, q.AfterID = after.Name, after.ID
	list, err := c.Accounts.List(c.ctx, c.caller, q)
	if err != nil {
		return answer{}, err
	}
	page := api.Page[api.Account]{Items: make([]api.Account, len(list))}
	for i, a := range list {
		page.Items[i] = accountOf(store.Holder{Account: a})
	}
	if n := len(list); n > 0 {
		page.Next = c.next(n == q.Limit, place{Name: list[n-1].Name, ID: list[n-1].ID})
	}
	return ok(page)
}

func (c *call) createAccount() (answer, error) {
	var in api.CreateAccount
	if err := c.read(&in); err != nil {
		return answer{}, err
	}
	a, err := c.Accounts.Create(c.ctx, c.caller, accounts.NewAccount{
		Kind: store.AccountKind(in.Kind), Name: in.Name, Source: in.Source, Subject: in.Subject,
		Password: secret.New(in.Password), PasswordHash: secret.New(in.PasswordHash), Email: in.Email, Note: in.Note,
		MaxTokens: in.MaxTokens, Groups: in.Groups, Grants: in.Grants,
	})
	if err != nil {
		return answer{}, err
	}
	return c.oneAccount(a.ID, created)
}

func (c *call) oneAccount(id string, as func(any) (answer, error)) (answer, error) {
	held, err := c.Accounts.Holder(c.ctx, id)
	if err != nil {
		return answer{}, err
	}
	return as(accountOf(held))
}

func (c *call) showAccount() (answer, error) {
	id, err := c.visibleAccount(c.r.PathValue("name"))
	if err != nil {
		return answer{}, err
	}
	held, err := c.Accounts.Account(c.ctx, c.caller, id)
	if err != nil {
		return answer{}, err
	}
	return ok(accountOf(held))
}

// visibleAccount finds an account by reference. Who may only read their own
// learns of no other.
func (c *call) visibleAccount(ref string) (string, error) {
	if c.caller.May(accounts.Accounts, "read") {
		a, err := c.Accounts.Resolve(c.ctx, ref)
		return a.ID, err
	}
	if ref == c.caller.Name || ref == "id:"+c.caller.AccountID || ref == c.caller.Source+":"+c.caller.Name {
		return c.caller.AccountID, nil
	}
	return "", fault.Needs("latchkey:" + accounts.Accounts + ":read")
}

func (c *call) updateAccount() (answer, error) {
	var in api.UpdateAccount
	if err := c.read(&in); err != nil {
		return answer{}, err
	}
	a, err := c.Accounts.Resolve(c.ctx, c.r.PathValue("name"))
	if err != nil {
		return answer{}, err
	}
	_, err = c.Accounts.Update(c.ctx, c.caller, a.ID, accounts.Change{
		Name: in.Name, Email: in.Email, Note: in.Note,
		Disabled: in.Disabled, DisabledReason: in.DisabledReason, MaxTokens: in.MaxTokens,
	})
	if err != nil {
		return answer{}, err
	}
	return c.oneAccount(a.ID, ok)
}

func (c *call) deleteAccount() (answer, error) {
	a, err := c.Accounts.Resolve(c.ctx, c.r.PathValue("name"))
	if err != nil {
		return answer{}, err
	}
	return answer{}, c.Accounts.Delete(c.ctx, c.caller, a.ID)
}

func accountOf(h store.Holder) api.Account {
	a := h.Account
	out := api.Account{
		ID: a.ID, Kind: string(a.Kind), Name: a.Name, Source: a.Source, Email: a.Email, Note: a.Note,
		Groups: h.Groups, Grants: h.Grants,
		Disabled: a.Disabled, DisabledReason: a.DisabledReason, MaxTokens: a.MaxTokens,
		CreatedAt: a.CreatedAt.UTC(), LastLoginAt: timeOrNull(a.LastLoginAt.Truncate(time.Second)),
	}
	if a.Subject != a.ID {
		out.Subject = a.Subject
	}
	return out
}
