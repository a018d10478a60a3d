// Command bench measures a running Latchkey against yardsticks on the same
// machine in the same run: a bare net/http handler that gives the same answer
// without any check, and small programs that do only what cannot be left out
// (hash and look up; read one row; commit one group). Hosts drift by the minute,
// so nothing but the ratio of two subjects that took turns means anything.
//
//	go run ./bench                       # everything, some minutes
//	go run ./bench -only check           # scenarios whose names begin so
//	go run ./bench -stores sqlite -tokens 10000000
//
// It is linux's /proc that tells a process's CPU time and memory; elsewhere
// these columns stay empty. Everything listens on loopback, every run is
// bounded in time, and what was started is ended.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"
)

// options are what the command line says.
type options struct {
	rounds  int
	length  time.Duration // of one run of one subject
	conns   int
	tokens  int // in the store, live
	used    int // of them in use
	stores  []string
	only    string
	binary  string // of latchkey; "": built first
	scratch string // for databases; "": a temporary folder

	dockerAuth string // the program to compare the realm of registries with; "": none
}

func main() {
	if len(os.Args) > 2 && os.Args[1] == serveWord {
		serveYardstick(os.Args[2], os.Args[3:])
		return
	}
	var o options
	var stores string
	flag.IntVar(&o.rounds, "rounds", 5, "how often each subject takes its turn")
	flag.DurationVar(&o.length, "length", 3*time.Second, "how long one turn is")
	flag.IntVar(&o.conns, "conns", 32, "connections of the load")
	flag.IntVar(&o.tokens, "tokens", 100_000, "live tokens in the store")
	flag.IntVar(&o.used, "used", 10_000, "how many of them are in use")
	flag.StringVar(&stores, "stores", "sqlite,postgres", "which stores")
	flag.StringVar(&o.only, "only", "", "only scenarios whose names begin with this")
	flag.StringVar(&o.binary, "binary", "", "a latchkey to measure instead of one built from here")
	flag.StringVar(&o.scratch, "scratch", "", "a folder on the disk to be measured")
	flag.StringVar(&o.dockerAuth, "docker-auth", "", "a docker_auth to compare the realm of registries with")
	flag.Parse()
	o.stores = strings.Split(stores, ",")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	b, err := newBench(ctx, o)
	if err != nil {
		return err
	}
	defer b.close()
	for _, store := range o.stores {
		if err := b.measureStore(ctx, store); err != nil {
			return fmt.Errorf("%s: %w", store, err)
		}
	}
	return nil
}
