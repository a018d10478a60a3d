package password

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{slots: 1, memory: 100, room: 2}
		if err := q.enter(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		in := make(chan error, 1)
		go func() { in <- q.enter(t.Context(), 1) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		given := make(chan error, 1)
		go func() { given <- q.enter(ctx, 1) }()
		synctest.Wait()
		if err := q.enter(t.Context(), 1); err != ErrBusy {
			t.Errorf("enter() past the room = %v, want ErrBusy", err)
		}
		<-given
		time.Sleep(2 * time.Second)
		want := Stats{Running: 1, Waiting: 1, Entered: 1, Refused: 1, GaveUp: 1, Waited: time.Second}
		if got := q.stats(); got != want {
			t.Errorf("stats() = %+v, want %+v", got, want)
		}
		q.leave(1)
		<-in
		want = Stats{Running: 1, Entered: 2, Refused: 1, GaveUp: 1, Waited: 4 * time.Second}
		if got := q.stats(); got != want {
			t.Errorf("stats() when the second is in = %+v, want %+v", got, want)
		}
	})
}
