package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Requests leave garbage, and with little else in memory the garbage collector
// would run many times a second to keep it little: a tenth of all work. So it
// is left to grow by garbageRoom before it is collected, or as Go has it by
// default, by as much again as is in use, whichever is more.
const (
	garbageRoom    = 64 << 20 // bytes
	defaultPercent = 100      // Go's own: collect when the heap has doubled
	mostPercent    = 400
	garbageEvery   = 5 * time.Second
)

// leaveGarbage sets the collector's pace until ctx ends, unless the operator
// has set it by the environment variable GOGC, whose value is given.
func leaveGarbage(ctx context.Context, set string) {
	if set != "" {
		return
	}
	before := debug.SetGCPercent(mostPercent)
	defer debug.SetGCPercent(before) // for tests, which go on
	tick := time.NewTicker(garbageEvery)
	defer tick.Stop()
	for percent := mostPercent; ; {
		if wanted := garbagePercent(liveBytes()); wanted != percent {
			debug.SetGCPercent(wanted)
			percent = wanted
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// garbagePercent returns how much the heap may grow before it is collected, in
// percent of what is in use. It moves in large steps: to set it stops the world.
func garbagePercent(live uint64) int {
	for percent := mostPercent; percent > defaultPercent; percent -= 50 {
		if live <= garbageRoom*100/uint64(percent) {
			return percent
		}
	}
	return defaultPercent
}

// liveBytes returns how much the last collection found in use.
func liveBytes() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return garbageRoom // an unknown name, in some later Go
	}
	return sample[0].Value.Uint64()
}
