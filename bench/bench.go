package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/internal/pgtest"
)

// bench is one run of this program.
type bench struct {
	options
	self    string
	folder  string
	cluster *pgtest.Cluster
	started []*process
	names   int
}

func newBench(ctx context.Context, o options) (*bench, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp(o.scratch, "latchkey-bench-")
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, self: self, folder: folder}
	if b.binary == "" {
		b.binary = filepath.Join(folder, "latchkey")
		if err := build(ctx, b.binary); err != nil {
			b.close()
			return nil, err
		}
	}
	return b, nil
}

func (b *bench) close() {
	b.stopServers()
	if b.cluster != nil {
		if err := b.cluster.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
	}
	if err := os.RemoveAll(b.folder); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
}

func (b *bench) stopServers() {
	for _, p := range b.started {
		p.stop()
	}
	b.started = nil
}

// newDatabase returns an empty database: "" for the file in latchkey's own
// folder.
func (b *bench) newDatabase(ctx context.Context, store string) (string, error) {
	if store != "postgres" {
		return "", nil
	}
	if b.cluster == nil {
		var err error
		if b.cluster, err = pgtest.Start(pgtest.Options{Durable: true}); err != nil {
			return "", err
		}
	}
	b.names++
	return b.cluster.CreateDatabase(ctx, fmt.Sprintf("bench%d", b.names))
}

// newFolder makes a folder for one server.
func (b *bench) newFolder() (string, error) { return os.MkdirTemp(b.folder, "run-") }

// latchkey starts a server to be measured; it ends with the scenario.
func (b *bench) latchkey(ctx context.Context, folder, database, extra string) (*subject, error) {
	s, err := startLatchkey(ctx, b.binary, folder, database, extra)
	if err != nil {
		return nil, err
	}
	b.started = append(b.started, s.process)
	return s, nil
}

// yardstick starts one of the servers to compare with.
func (b *bench) yardstick(ctx context.Context, kind string, args ...string) (*process, error) {
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	argv := append([]string{b.self, serveWord, kind, "-addr", addr}, args...)
	p, err := startServer(ctx, kind, addr, nil, argv...)
	if err != nil {
		return nil, err
	}
	b.started = append(b.started, p)
	return p, nil
}

// row is one subject of a scenario, which takes its turn each round.
type row struct {
	name    string
	process *process // whose CPU time and memory count
	load    load
	beside  func(context.Context) // runs as long as the turn, if not nil
	results []turn
}

// turn is what one row did in one round.
type turn struct {
	rate     float64
	p50, p99 time.Duration
	cpu      time.Duration // for one request
}

// goal is a ratio that a scenario aims at.
type goal struct {
	of, over string  // names of rows
	least    float64 // the ratio of their rates; 0: only shown
}

// compare lets the rows take turns and prints what came out.
func (b *bench) compare(ctx context.Context, title string, rows []*row, goals ...goal) error {
	fmt.Printf("\n%s\n", title)
	for _, r := range rows { // once for nothing: connections, caches, heaps
		if _, err := r.turn(ctx, b.length); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	for range b.rounds {
		for _, r := range rows {
			t, err := r.turn(ctx, b.length)
			if err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			r.results = append(r.results, t)
		}
	}
	report(os.Stdout, rows, goals)
	return nil
}

func (r *row) turn(ctx context.Context, length time.Duration) (turn, error) {
	beside, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if r.beside != nil {
			r.beside(beside)
		}
	}()
	before, known := r.process.cpu()
	out, err := r.load.run(ctx, length)
	after, _ := r.process.cpu()
	stop()
	<-done
	if err = errors.Join(err, ctx.Err()); err != nil {
		return turn{}, err
	}
	if out.wrong > 0 || out.done == 0 {
		return turn{}, fmt.Errorf("%d of %d answers were not %d; %s", out.wrong, out.done, r.load.want, r.process.output())
	}
	t := turn{rate: out.rate(), p50: out.delays.quantile(0.5), p99: out.delays.quantile(0.99)}
	if known {
		t.cpu = (after - before) / time.Duration(out.done)
	}
	return t, nil
}

// report prints the medians of each row and the ratios of each goal. A ratio
// is the median of those of each round.
func report(w io.Writer, rows []*row, goals []goal) {
	fmt.Fprintf(w, "  %-22s %10s %10s %10s %12s %8s\n", "", "req/s", "p50", "p99", "CPU/request", "MiB")
	for _, r := range rows {
		fmt.Fprintf(w, "  %-22s %10.0f %10s %10s %12s %8.0f\n", r.name,
			median(r.results, func(t turn) float64 { return t.rate }),
			rounded(median(r.results, func(t turn) float64 { return float64(t.p50) })),
			rounded(median(r.results, func(t turn) float64 { return float64(t.p99) })),
			rounded(median(r.results, func(t turn) float64 { return float64(t.cpu) })), r.process.memory())
	}
	for _, g := range goals {
		of, over := find(rows, g.of), find(rows, g.over)
		var rates, cpus []float64
		for i := range of.results {
			rates = append(rates, of.results[i].rate/over.results[i].rate)
			cpus = append(cpus, float64(of.results[i].cpu)/float64(max(over.results[i].cpu, 1)))
		}
		slices.Sort(rates)
		slices.Sort(cpus)
		verdict := ""
		if g.least > 0 {
			verdict = fmt.Sprintf("; aim %.2f", g.least)
		}
		fmt.Fprintf(w, "  = %s / %s: %.2f of its rate (%.2f to %.2f), %.2f times its CPU%s\n", g.of, g.over,
			middle(rates), rates[0], rates[len(rates)-1], middle(cpus), verdict)
	}
}

func find(rows []*row, name string) *row {
	i := slices.IndexFunc(rows, func(r *row) bool { return r.name == name })
	return rows[i]
}

func median(turns []turn, of func(turn) float64) float64 {
	var all []float64
	for _, t := range turns {
		all = append(all, of(t))
	}
	slices.Sort(all)
	return middle(all)
}

func middle(sorted []float64) float64 { return sorted[len(sorted)/2] }

func rounded(nanoseconds float64) string {
	return time.Duration(nanoseconds).Round(100 * time.Nanosecond).String()
}

// get makes the bytes of a GET with a token and further header lines.
func get(path, token string, headers ...string) []byte {
	return []byte("GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " + token + "\r\n" +
		strings.Join(append(headers, ""), "\r\n") + "\r\n")
}

// answerOf asks a server once and writes its answer down for yardsticks.
func (b *bench) answerOf(addr string, request *http.Request, folder string) (path string, status int, err error) {
	request.URL.Scheme, request.URL.Host = "http", addr
	res, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", 0, err
	}
	defer res.Body.Close()
	path = filepath.Join(folder, fmt.Sprintf("answer-%d", time.Now().UnixNano()))
	return path, res.StatusCode, writeReply(path, res.StatusCode, res.Header)
}
