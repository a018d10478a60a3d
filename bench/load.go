package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"
)

// load is what one run asks: requests as the bytes that are sent, taken in
// turn by every connection from a place of its own.
type load struct {
	addr     string
	requests [][]byte
	want     int // the status that counts; any other is an error
	conns    int
}

// outcome is what one run gave.
type outcome struct {
	done   int
	wrong  int // answers with another status
	took   time.Duration
	delays histogram
}

func (o outcome) rate() float64 { return float64(o.done) / o.took.Seconds() }

// run sends requests for as long as length says, on connections that are kept.
func (l load) run(ctx context.Context, length time.Duration) (outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	parts := make([]outcome, l.conns)
	errs := make([]error, l.conns)
	began := time.Now()
	var wg sync.WaitGroup
	for i := range l.conns {
		wg.Go(func() { errs[i] = l.connection(ctx, i, &parts[i]) })
	}
	wg.Wait()
	total := outcome{took: time.Since(began)}
	for i := range parts {
		total.done += parts[i].done
		total.wrong += parts[i].wrong
		total.delays.add(&parts[i].delays)
	}
	return total, errors.Join(errs...)
}

// connection is one client: it sends a request, reads the answer, and so on.
func (l load) connection(ctx context.Context, n int, out *outcome) error {
	conn, err := net.Dial("tcp", l.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	in := bufio.NewReaderSize(conn, 4<<10)
	next := len(l.requests) * n / l.conns
	for ctx.Err() == nil {
		sent := time.Now()
		if _, err := conn.Write(l.requests[next%len(l.requests)]); err != nil {
			return err
		}
		next++
		status, err := readAnswer(in)
		if err != nil {
			return fmt.Errorf("after %d answers: %w", out.done, err)
		}
		out.delays.note(time.Since(sent))
		out.done++
		if status != l.want {
			out.wrong++
		}
	}
	return nil
}

var lengthHeader = []byte("content-length:")

// readAnswer reads one answer with a Content-Length or without a body.
func readAnswer(in *bufio.Reader) (status int, err error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < 12 {
		return 0, fmt.Errorf("the answer begins with %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, err
	}
	length := 0
	for {
		if line, err = in.ReadSlice('\n'); err != nil {
			return 0, err
		}
		if len(line) <= 2 {
			break
		}
		if len(line) > len(lengthHeader) && (line[0] == 'C' || line[0] == 'c') && bytes.EqualFold(line[:len(lengthHeader)], lengthHeader) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(lengthHeader):]))); err != nil {
				return 0, err
			}
		}
	}
	_, err = io.CopyN(io.Discard, in, int64(length))
	return status, err
}

// histogram counts delays in steps of about 3%.
type histogram struct {
	counts [64 * stepsPerDoubling]int
	total  int
}

const stepsPerDoubling = 32

func (h *histogram) note(d time.Duration) {
	h.counts[min(step(d), len(h.counts)-1)]++
	h.total++
}

func (h *histogram) add(other *histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
}

// quantile returns the delay that the given part of all stayed below.
func (h *histogram) quantile(q float64) time.Duration {
	left := int(q * float64(h.total))
	for i, n := range h.counts {
		if left -= n; left < 0 {
			return below(i)
		}
	}
	return 0
}

// step puts a delay into a class: which power of two, and which part of it.
func step(d time.Duration) int {
	v := uint64(max(d, 1))
	power := 0
	for v>>power >= 2*stepsPerDoubling {
		power++
	}
	return power*stepsPerDoubling + int(v>>power)
}

// below is the upper end of a class.
func below(i int) time.Duration {
	if i < 2*stepsPerDoubling {
		return time.Duration(i + 1)
	}
	power := i/stepsPerDoubling - 1
	return time.Duration(i-power*stepsPerDoubling+1) << power
}
