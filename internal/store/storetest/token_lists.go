package storetest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/internal/store"
)

var tokenListTests = []test{
	{"Filters", tokenFilters},
	{"States", tokenStates},
	{"Order", tokenOrder},
	{"PagesWhileInserting", tokenPages},
}

func tokenID(t store.Token) string { return t.ID }

func (f fixture) listTokens(q store.TokenQuery) []string {
	f.Helper()
	if q.Limit == 0 {
		q.Limit = 1000
	}
	tokens, err := f.Tokens(f.ctx, q)
	if err != nil {
		f.Fatalf("Tokens(%+v) = %v, want no error", q, err)
	}
	return ids(tokens, tokenID)
}

func tokenFilters(f fixture) {
	f.accounts("a", "b")
	f.update(func(tx store.Tx) error { return tx.InsertGroup(store.Group{Name: "team", CreatedAt: start}) })
	t1, t2, t3, t4 := newToken("t1", "a"), newToken("t2", "a"), newToken("t3", "b"), newToken("t4", "b")
	t1.Name, t1.Prefix, t1.Class = "deploy-1", "lkp_aaa", "robot"
	t2.Name, t2.Prefix = "deploy_2", "lkp_aab"
	t3.Name, t3.Prefix = "Deploy-3", "lkp%"
	t4.Name = "naïve\U0010ffff!"
	t1.Labels = map[string]string{"env": "prod", "a.b\"c\\d": "<x>"}
	t2.Labels = map[string]string{"env": "test", "$": "1"}
	t3.Labels = map[string]string{"environment": "prod"}
	t1.LastUse = store.Use{At: minute(10)}
	t2.LastUse = store.Use{At: minute(20)}
	for i, t := range []*store.Token{&t1, &t2, &t3, &t4} {
		t.CreatedAt = minute(i + 1)
	}
	f.tokens(t1, t2, t3, t4)
	f.update(func(tx store.Tx) error {
		_, err := tx.AddMember("team", "b")
		return err
	})

	for name, tt := range map[string]struct {
		q    store.TokenQuery
		want []string
	}{
		"all":               {store.TokenQuery{}, []string{"t4", "t3", "t2", "t1"}},
		"account":           {store.TokenQuery{AccountID: "b"}, []string{"t4", "t3"}},
		"no such account":   {store.TokenQuery{AccountID: "none"}, nil},
		"odd account":       {store.TokenQuery{AccountID: "\x00"}, nil},
		"class":             {store.TokenQuery{Class: "robot"}, []string{"t1"}},
		"name":              {store.TokenQuery{NamePrefix: "deploy"}, []string{"t2", "t1"}},
		"name with _":       {store.TokenQuery{NamePrefix: "deploy_"}, []string{"t2"}},
		"name with %":       {store.TokenQuery{NamePrefix: "%"}, nil},
		"odd name":          {store.TokenQuery{NamePrefix: "\xff"}, nil},
		"name at the end":   {store.TokenQuery{NamePrefix: "naïve\U0010ffff"}, []string{"t4"}},
		"prefix":            {store.TokenQuery{Prefix: "lkp_aa"}, []string{"t2", "t1"}},
		"prefix with %":     {store.TokenQuery{Prefix: "lkp%"}, []string{"t3"}},
		"label":             {store.TokenQuery{Label: [2]string{"env", "prod"}}, []string{"t1"}},
		"label of any":      {store.TokenQuery{Label: [2]string{"env", ""}}, []string{"t2", "t1"}},
		"label with quotes": {store.TokenQuery{Label: [2]string{"a.b\"c\\d", "<x>"}}, []string{"t1"}},
		"label $":           {store.TokenQuery{Label: [2]string{"$", "1"}}, []string{"t2"}},
		"no such label":     {store.TokenQuery{Label: [2]string{"env", "none"}}, nil},
		"odd label":         {store.TokenQuery{Label: [2]string{"\x00", "\xff"}}, nil},
		"unused":            {store.TokenQuery{UnusedSince: minute(11)}, []string{"t4", "t3", "t1"}},
		"two":               {store.TokenQuery{AccountID: "a", UnusedSince: minute(11)}, []string{"t1"}},
		"never used":        {store.TokenQuery{NeverUsed: true}, []string{"t4", "t3"}},
		"group":             {store.TokenQuery{Group: "team"}, []string{"t4", "t3"}},
		"everyone":          {store.TokenQuery{Group: store.GroupEveryone, AccountID: "a"}, []string{"t2", "t1"}},
		"no such group":     {store.TokenQuery{Group: "none"}, nil},
		"odd group":         {store.TokenQuery{Group: "\x00"}, nil},
		"created since":     {store.TokenQuery{CreatedSince: minute(3)}, []string{"t4", "t3"}},
		"created before":    {store.TokenQuery{CreatedBefore: minute(3)}, []string{"t2", "t1"}},
		"created between":   {store.TokenQuery{CreatedSince: minute(2), CreatedBefore: minute(3)}, []string{"t2"}},
		"all at once":       {store.TokenQuery{AccountID: "b", Group: "team", NeverUsed: true, CreatedSince: minute(4), State: store.TokenLive, Now: minute(0)}, []string{"t4"}},
		"limit":             {store.TokenQuery{Limit: 2}, []string{"t4", "t3"}},
	} {
		same(f, fmt.Sprintf("Tokens by %s", name), f.listTokens(tt.q), tt.want)
	}
}

func tokenStates(f fixture) {
	live := livingAndDead(f)
	slices.Sort(live)
	states := map[store.TokenState][]string{
		store.TokenLive:    live,
		store.TokenExpired: {"expired", "expired-1970", "expired-now", "idle-out", "idle-out-used"},
		store.TokenRevoked: {"old-epoch", "revoked", "revoked-expired"},
	}
	total := 0
	for state, want := range states {
		got := f.listTokens(store.TokenQuery{AccountID: "a", State: state, Now: minute(10)})
		slices.Sort(got)
		same(f, "Tokens in state "+string(state), got, want)
		total += len(got)
	}
	if all := f.listTokens(store.TokenQuery{}); len(all) != total {
		f.Errorf("Tokens in any state: %d, want each in one state: %d", len(all), total)
	}
}

func tokenOrder(f fixture) {
	f.accounts("a")
	var want []string
	for i := range 30 {
		t := newToken(fmt.Sprintf("t%02d", i), "a")
		t.CreatedAt = minute(i / 3).Add(time.Duration(i%2) * time.Microsecond) // some at the same time
		f.tokens(t)
	}
	for i := range 10 {
		group := []int{3 * i, 3*i + 1, 3*i + 2}
		slices.SortFunc(group, func(a, b int) int { return (b%2-a%2)*100 + b - a })
		var page []string
		for _, n := range group {
			page = append(page, fmt.Sprintf("t%02d", n))
		}
		want = append(page, want...)
	}
	same(f, "Tokens()", f.listTokens(store.TokenQuery{}), want)

	var paged []string
	var after store.Position
	for {
		page, err := f.Tokens(f.ctx, store.TokenQuery{AccountID: "a", After: after, Limit: 4})
		if err != nil {
			f.Fatalf("Tokens(after %v) = %v, want no error", after, err)
		}
		paged = append(paged, ids(page, tokenID)...)
		if len(page) < 4 {
			break
		}
		after = store.Position{At: page[3].CreatedAt, ID: page[3].ID}
	}
	same(f, "Tokens() in pages of 4", paged, want)
}

// tokenPages reads all tokens by pages while others are inserted before,
// between and behind: none may be skipped or come twice.
func tokenPages(f fixture) {
	f.accounts("a")
	const n = 200
	for i := range n {
		t := newToken(fmt.Sprintf("t%03d", i), "a")
		t.CreatedAt = minute(i / 4)
		f.tokens(t)
	}
	page := make(chan int)
	var done sync.WaitGroup
	done.Go(func() {
		for i := range page {
			t := newToken(fmt.Sprintf("u%03d", i), "a")
			t.CreatedAt = minute(i % (n / 4))
			if err := f.Update(f.ctx, func(tx store.Tx) error {
				return tx.InsertToken(t, newSecret(t.ID, t.ID))
			}); err != nil {
				f.Errorf("InsertToken(%s) = %v, want no error", t.ID, err)
			}
		}
	})
	seen := make(map[string]int)
	var after store.Position
	for i := 0; ; i++ {
		tokens, err := f.Tokens(f.ctx, store.TokenQuery{After: after, Limit: 7})
		if err != nil {
			f.Fatalf("Tokens(after %v) = %v, want no error", after, err)
		}
		for _, t := range tokens {
			seen[t.ID]++
			after = store.Position{At: t.CreatedAt, ID: t.ID}
		}
		if len(tokens) < 7 {
			break
		}
		page <- i * 17
	}
	close(page)
	done.Wait()
	for i := range n {
		if id := fmt.Sprintf("t%03d", i); seen[id] == 0 {
			f.Errorf("token %s was skipped", id)
		}
	}
	for id, times := range seen {
		if times > 1 {
			f.Errorf("token %s came %d times", id, times)
		}
	}
}
