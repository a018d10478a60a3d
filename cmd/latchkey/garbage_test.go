package main

import (
	"runtime"
	"testing"
)

func TestGarbagePercent(t *testing.T) {
	for _, tt := range []struct {
		live uint64
		want int
	}{
		{0, 400}, {8 << 20, 400}, {16 << 20, 400}, {17 << 20, 350}, {32 << 20, 200},
		{64 << 20, 100}, {1 << 30, 100}, {1 << 60, 100},
	} {
		if got := garbagePercent(tt.live); got != tt.want {
			t.Errorf("garbagePercent(%d) = %d, want %d", tt.live, got, tt.want)
		}
	}
}

// The runtime knows what is read of it.
func TestLiveBytes(t *testing.T) {
	runtime.GC()
	if got := liveBytes(); got == 0 || got == garbageRoom {
		t.Errorf("liveBytes() = %d, want what is in use", got)
	}
}
