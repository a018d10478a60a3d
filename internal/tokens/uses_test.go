package tokens

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-auth/latchkey/internal/identity"
)

func entryOf(tokenID string) *entry { return &entry{id: &identity.Identity{TokenID: tokenID}} }

// Uses of a token wait as one for each door and address, and the latest is
// what is kept, in whatever order they come.
func TestUsesOfATokenAreOne(t *testing.T) {
	type seen struct {
		first, last int64
		seconds     int
		addr, door  string
	}
	var got []seen
	u := &uses{seen: func(one *use) {
		got = append(got, seen{one.first, one.last, one.seconds, one.addr.String(), one.door})
	}}
	e, here, there := entryOf("t"), netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for range 2 { // also after they were sorted
		got = nil
		u.record(e, 10, here, "one", "verify")
		u.record(e, 12, here, "two", "verify")
		u.record(e, 11, here, "late", "verify")
		u.record(e, 13, there, "three", "verify")
		u.record(e, 14, there, "four", "gateway")
		latest, ok := u.latest("t")
		if !ok || latest.At.Unix() != 14 || latest.Addr != there || latest.Agent != "four" {
			t.Errorf("latest() = %+v, %v, want the use of second 14", latest, ok)
		}
		want := []seen{{10, 12, 3, "192.0.2.1", "verify"}, {13, 13, 1, "192.0.2.2", "verify"}, {14, 14, 1, "192.0.2.2", "gateway"}}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(seen{})); diff != "" {
			t.Errorf("what is told, -want +got:\n%s", diff)
		}
	}
	if len(u.fresh) != 0 || e.lately != nil {
		t.Errorf("%d uses wait to be sorted, and the entry has %+v; want none", len(u.fresh), e.lately)
	}
}

// However many tokens are used between two writes, the list of what came stays
// short and nothing is lost.
func TestManyUsesAreSorted(t *testing.T) {
	u := &uses{many: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { u.sortMany(ctx); close(ended) }()
	const n = 2 * sortFrom
	for i := range n {
		u.record(entryOf(fmt.Sprint(i)), int64(i+1), netip.Addr{}, "", "verify")
	}
	short := func() bool {
		u.mu.Lock()
		defer u.mu.Unlock()
		return len(u.fresh) < sortFrom
	}
	for until := time.Now().Add(time.Minute); !short(); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("the uses were not sorted within a minute")
		}
	}
	cancel()
	<-ended
	for _, i := range []int{0, sortFrom - 1, sortFrom, n - 1} {
		if one, ok := u.latest(fmt.Sprint(i)); !ok || one.At.Unix() != int64(i+1) {
			t.Errorf("latest(%d) = %+v, %v, want second %d", i, one, ok, i+1)
		}
	}
}
