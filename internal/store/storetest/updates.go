package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/latchkey-auth/latchkey/internal/store"
)

var updateTests = []test{
	{"ErrorWritesNothing", updateError},
	{"PanicWritesNothing", updatePanic},
	{"GoexitWritesNothing", updateGoexit},
	{"SeesOwnWrites", updateOwnWrites},
	{"IsNotSeenBefore", updateUnseen},
	{"FailuresDoNotSpread", updateMixed},
	{"ReadOnly", updateReadOnly},
	{"TransactionIsOver", updateOver},
}

// writeAll writes one of everything.
func writeAll(tx store.Tx) error {
	_, change := tx.AppendChange(store.Change{Kind: store.ChangeToken, TokenID: "t"})
	return errors.Join(
		tx.InsertAccount(newAccount("a")),
		tx.InsertToken(newToken("t", "a"), newSecret("t", "t")),
		tx.InsertGroup(store.Group{Name: "g", CreatedAt: start}),
		tx.InsertGrant(store.Grant{ID: "r", Group: "g", Scope: "s", CreatedAt: start}),
		tx.AppendEvent(fullEvent("e")),
		change,
	)
}

// untouched checks that nothing of writeAll is there, and that it can be
// written now.
func (f fixture) untouched() {
	f.Helper()
	f.gone("t")
	if _, err := f.Account(f.ctx, "a"); !errors.Is(err, store.ErrNotFound) {
		f.Errorf("Account(a) = %v, want %v", err, store.ErrNotFound)
	}
	if events := f.events(store.EventQuery{}); len(events) != 0 {
		f.Errorf("Events() = %v, want none", events)
	}
	if n := f.lastChange(); n != 0 {
		f.Errorf("LastChange() = %d, want 0", n)
	}
	f.update(writeAll)
	f.token("t")
}

func updateError(f fixture) {
	wrong := errors.New("wrong")
	err := f.Update(f.ctx, func(tx store.Tx) error {
		if err := writeAll(tx); err != nil {
			f.Errorf("writes = %v, want no error", err)
		}
		return wrong
	})
	if err != wrong { // as it is, not wrapped
		f.Errorf("Update() = %v, want the function's own error", err)
	}
	f.untouched()
}

func updatePanic(f fixture) {
	func() {
		defer func() {
			if r := recover(); r != "boom" {
				f.Errorf("recover() = %v, want boom", r)
			}
		}()
		_ = f.Update(f.ctx, func(tx store.Tx) error {
			if err := writeAll(tx); err != nil {
				f.Errorf("writes = %v, want no error", err)
			}
			panic("boom")
		})
	}()
	f.untouched()
}

// updateGoexit is what t.FailNow does in a function given to Update.
func updateGoexit(f fixture) {
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = f.Update(f.ctx, func(tx store.Tx) error {
			if err := writeAll(tx); err != nil {
				f.Errorf("writes = %v, want no error", err)
			}
			runtime.Goexit()
			return nil
		})
	})
	wg.Wait()
	f.untouched()
}

func updateOwnWrites(f fixture) {
	f.update(func(tx store.Tx) error {
		if err := writeAll(tx); err != nil {
			return err
		}
		t, err := tx.LockToken("t")
		same(f, "LockToken(t)", t, newToken("t", "a"))
		a, err2 := tx.LockAccount("a")
		same(f, "LockAccount(a)", a, newAccount("a"))
		n, err3 := tx.CountLive("a", start, 10)
		if n != 1 {
			f.Errorf("CountLive(a) = %d, want 1", n)
		}
		member, err4 := tx.AddMember("g", "a")
		if !member {
			f.Error("AddMember(g, a) = false, want true")
		}
		return errors.Join(err, err2, err3, err4)
	})
}

func updateUnseen(f fixture) {
	f.update(func(tx store.Tx) error {
		if err := writeAll(tx); err != nil {
			return err
		}
		f.gone("t")
		if n := f.lastChange(); n != 0 {
			f.Errorf("LastChange() before the commit = %d, want 0", n)
		}
		return nil
	})
	f.token("t")
}

// updateMixed lets many write at once, every third of whom fails after its
// writes: what the others wrote stays.
func updateMixed(f fixture) {
	f.accounts("a")
	const n = 96
	fail := func(i int) bool { return i%3 == 2 }
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			id := fmt.Sprintf("t%02d", i)
			err := f.Update(f.ctx, func(tx store.Tx) error {
				if err := tx.InsertToken(newToken(id, "a"), newSecret(id, id)); err != nil {
					return err
				}
				if fail(i) {
					return errFailed
				}
				return nil
			})
			if want := map[bool]error{true: errFailed}[fail(i)]; !errors.Is(err, want) {
				f.Errorf("Update(%s) = %v, want %v", id, err, want)
			}
		})
	}
	wg.Wait()
	for i := range n {
		_, err := f.Token(f.ctx, fmt.Sprintf("t%02d", i))
		if fail(i) != errors.Is(err, store.ErrNotFound) {
			f.Errorf("Token(t%02d) = %v, want it to be there: %v", i, err, !fail(i))
		}
	}
}

func updateReadOnly(f fixture) {
	f.accounts("a")
	f.update(func(tx store.Tx) error { return nil })
	f.update(func(tx store.Tx) error { _, err := tx.LockAccount("a"); return err })
}

func updateOver(f fixture) {
	f.accounts("a")
	var kept store.Tx
	f.update(func(tx store.Tx) error { kept = tx; return nil })
	if err := kept.InsertToken(newToken("t", "a"), newSecret("t", "t")); err == nil {
		f.Error("InsertToken() after Update = nil, want an error")
	}
	if err := kept.AppendEvent(fullEvent("e")); err == nil {
		f.Error("AppendEvent() after Update = nil, want an error")
	}
	if _, err := kept.LockAccount("a"); err == nil {
		f.Error("LockAccount() after Update = nil, want an error")
	}
	f.gone("t")
}

var endTests = []test{
	{"CancelledContext", endCancelled},
	{"CancelledWhileWaiting", endCancelledWaiting},
	{"Ping", endPing},
	{"Closed", endClosed},
	{"ClosedUnderLoad", endClosedUnderLoad},
}

func endCancelled(f fixture) {
	f.accounts("a")
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	for name, call := range everyCall(f, ctx) {
		if err := call(); !errors.Is(err, context.Canceled) {
			f.Errorf("%s with a cancelled context = %v, want %v", name, err, context.Canceled)
		}
	}
	f.gone("t")
}

// endCancelledWaiting ends the context of a write that waits for another one:
// it returns at once, and whatever it says afterwards holds.
func endCancelledWaiting(f fixture) {
	f.accounts("a")
	inside, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		f.update(func(tx store.Tx) error {
			_, err := tx.LockAccount("a")
			close(inside)
			<-release
			return err
		})
	})
	<-inside
	ctx, cancel := context.WithCancel(f.ctx)
	result := make(chan error)
	go func() {
		result <- f.Update(ctx, func(tx store.Tx) error {
			if _, err := tx.LockAccount("a"); err != nil {
				return err
			}
			return tx.InsertToken(newToken("t", "a"), newSecret("t", "t"))
		})
	}()
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		f.Errorf("Update() whose context ended = %v, want %v", err, context.Canceled)
	}
	close(release)
	wg.Wait()
	f.gone("t")
}

func endPing(f fixture) {
	if err := f.Ping(f.ctx); err != nil {
		f.Errorf("Ping() = %v, want no error", err)
	}
}

func endClosed(f fixture) {
	f.accounts("a")
	for range 2 {
		if err := f.Close(); err != nil {
			f.Errorf("Close() = %v, want no error", err)
		}
	}
	for name, call := range everyCall(f, f.ctx) {
		if err := call(); !errors.Is(err, store.ErrUnavailable) {
			f.Errorf("%s after Close = %v, want %v", name, err, store.ErrUnavailable)
		}
	}
}

func endClosedUnderLoad(f fixture) {
	f.accounts("a")
	started := make(chan struct{}, 16)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d", w, i)
				err := f.Update(f.ctx, func(tx store.Tx) error {
					return tx.InsertToken(newToken(id, "a"), newSecret(id, id))
				})
				if i == 0 {
					started <- struct{}{}
				}
				if err == nil {
					_, err = f.Token(f.ctx, id)
				}
				if err != nil {
					if !errors.Is(err, store.ErrUnavailable) {
						f.Errorf("call while closing = %v, want %v", err, store.ErrUnavailable)
					}
					return
				}
			}
		})
	}
	for range 8 {
		<-started
	}
	if err := f.Close(); err != nil {
		f.Errorf("Close() = %v, want no error", err)
	}
	wg.Wait()
}

// everyCall gives all methods of a store that can fail.
func everyCall(f fixture, ctx context.Context) map[string]func() error {
	s := f.Store
	return map[string]func() error{
		"TokenByDigest":    func() error { _, err := s.TokenByDigest(ctx, digest("t")); return err },
		"Token":            func() error { _, err := s.Token(ctx, "t"); return err },
		"Tokens":           func() error { _, err := s.Tokens(ctx, store.TokenQuery{Limit: 1}); return err },
		"SecretOfSlot":     func() error { _, err := s.SecretOfSlot(ctx, "a", "s"); return err },
		"Holder":           func() error { _, err := s.Holder(ctx, "a"); return err },
		"Account":          func() error { _, err := s.Account(ctx, "a"); return err },
		"AccountBySubject": func() error { _, err := s.AccountBySubject(ctx, "local", "a"); return err },
		"AccountsByName":   func() error { _, err := s.AccountsByName(ctx, "a"); return err },
		"Accounts":         func() error { _, err := s.Accounts(ctx, store.AccountQuery{Limit: 1}); return err },
		"Groups":           func() error { _, err := s.Groups(ctx); return err },
		"Members":          func() error { _, err := s.Members(ctx, "g"); return err },
		"Grants":           func() error { _, err := s.Grants(ctx, store.GrantQuery{}); return err },
		"LastChange":       func() error { _, err := s.LastChange(ctx); return err },
		"ChangesAfter":     func() error { _, err := s.ChangesAfter(ctx, 0, 1); return err },
		"Events":           func() error { _, err := s.Events(ctx, store.EventQuery{Limit: 1}); return err },
		"Update": func() error {
			return s.Update(ctx, func(tx store.Tx) error {
				return tx.InsertToken(newToken("t", "a"), newSecret("t", "t"))
			})
		},
		"RecordUses":   func() error { return s.RecordUses(ctx, []store.Use{{TokenID: "t", At: start}}) },
		"AppendEvents": func() error { return s.AppendEvents(ctx, []store.Event{fullEvent("e")}) },
		"Sweep":        func() error { _, err := s.Sweep(ctx, start, 1); return err },
		"SweepChanges": func() error { _, err := s.SweepChanges(ctx, start, 1, 1); return err },
		"AppendSeal":   func() error { return s.AppendSeal(ctx, newSeal(1)) },
		"Trim":         func() error { return s.Trim(ctx, store.Trimmed{Number: 1}, nil) },
		"RegisterKey":  func() error { return s.RegisterKey(ctx, "k", []byte("check")) },
		"Keys":         func() error { _, err := s.Keys(ctx); return err },
		"Ping":         func() error { return s.Ping(ctx) },
	}
}
