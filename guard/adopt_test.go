package guard

import (
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/api"
)

// What is made of an entry that had to go meanwhile is not kept: changes that
// came in since did not find it.
func TestAdopt(t *testing.T) {
	now := time.Now()
	made := func(first byte, second byte, kin bool, token string) *entry {
		return &entry{digest: digest{first, second}, kin: kin, id: Identity{TokenID: token, AccountID: "acc_1"}, until: now.Add(time.Minute)}
	}
	fill := func() (*cache, *entry) {
		c := newCache(1)
		c.begin(10)
		kin := made(0, 0, true, "fam_1")
		if got := c.put(kin, 10); got != nothingChanged {
			t.Fatalf("put() = %v", got)
		}
		return c, kin
	}
	ended := api.Change{Position: 11, Kind: api.ChangeToken, Token: "fam_1"}

	c, kin := fill()
	e := made(0, 1, false, "fam_1")
	if !c.adopt(e, kin) || c.get(e.digest, now) != e {
		t.Error("adopt() of what holds does not keep it")
	}
	c.apply(ended)
	if c.get(e.digest, now) != nil || c.related(kin.digest, now) != nil {
		t.Error("after a change of the family, its entries hold")
	}

	c, kin = fill()
	c.apply(ended)
	if e := made(0, 1, false, "fam_1"); c.adopt(e, kin) || c.get(e.digest, now) != nil {
		t.Error("adopt() keeps what is made of an entry that a change has made untrue")
	}

	c, kin = fill()
	c.put(made(0, 2, true, "fam_2"), 10) // takes the place
	c.apply(ended)
	if e := made(0, 1, false, "fam_1"); c.adopt(e, kin) || c.get(e.digest, now) != nil {
		t.Error("adopt() keeps what is made of an entry that had to go before the change")
	}
}

// Nobody gets in by presenting what an entry about a family is kept by.
func TestKinCannotBePresented(t *testing.T) {
	c := newCache(10)
	c.begin(10)
	e := &entry{digest: digest{1}, kin: true, id: Identity{TokenID: "fam_1", AccountID: "acc_1"}, until: time.Now().Add(time.Minute)}
	c.put(e, 10)
	if c.get(digest{1}, time.Now()) != nil {
		t.Error("get() finds by the digest of a token what is kept of a family")
	}
	if c.related(digest{1}, time.Now()) != e {
		t.Error("related() does not find what is kept of the family")
	}
}
