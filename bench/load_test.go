package main

import (
	"bufio"
	"strings"
	"testing"
	"time"
)

// Every delay lies below the end of its class, and not far below.
func TestHistogram(t *testing.T) {
	for d := time.Duration(1); d < time.Hour; d += d/7 + 1 {
		end := below(step(d))
		if end <= d || end > d+d/16+1 {
			t.Errorf("%d lies in the class that ends at %d, want at most a sixteenth above it", d, end)
		}
	}
	var h histogram
	for i := 1; i <= 1000; i++ {
		h.note(time.Duration(i) * time.Microsecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 500 * time.Microsecond, 0.99: 990 * time.Microsecond} {
		if got := h.quantile(q); got < want || got > want+want/16 {
			t.Errorf("quantile(%v) = %v, want about %v", q, got, want)
		}
	}
}

func TestReadAnswer(t *testing.T) {
	in := bufio.NewReader(strings.NewReader("HTTP/1.1 200 OK\r\nX: y\r\ncontent-length: 3\r\n\r\nabcHTTP/1.1 204 No Content\r\n\r\n"))
	for _, want := range []int{200, 204} {
		if got, err := readAnswer(in); got != want || err != nil {
			t.Errorf("readAnswer() = %d, %v, want %d", got, err, want)
		}
	}
	if _, err := readAnswer(in); err == nil {
		t.Error("readAnswer() at the end = nil, want an error")
	}
}
