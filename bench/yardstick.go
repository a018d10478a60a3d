package main

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"time"
)

// serveWord begins the command line of a yardstick, which is this program
// under the same name: bench serve KIND -addr ... .
const serveWord = "serve"

// serveYardstick runs one of the small servers that Latchkey is measured
// against:
//
//	bare      gives one fixed answer to everything
//	lookup    bare, once the token's SHA-256 is found in a map
//	row       bare, once the row of the token's SHA-256 is read from a database
//	commit    makes a token, stores its hash with one row durably, answers in JSON
//	sign      answers with one signature over what was sent
//	upstream  a small service behind a proxy
//	proxy     net/http/httputil's reverse proxy before it, as it comes
func serveYardstick(kind string, args []string) {
	flags := flag.NewFlagSet(kind, flag.ExitOnError)
	addr := flags.String("addr", "", "where to listen")
	answer := flags.String("answer", "", "a file with the answer: a status, then headers, as lines")
	tokens := flags.String("tokens", "", "a file of tokens, one a line")
	database := flags.String("database", "", "sqlite:PATH or postgres://")
	target := flags.String("target", "", "the URL behind the proxy")
	_ = flags.Parse(args) // exits by itself

	handler, err := yardstick(kind, *answer, *tokens, *database, *target)
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{ // with the limits that latchkey serve has
		Addr: *addr, Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
	}
	log.Fatal(server.ListenAndServe())
}

func yardstick(kind, answer, tokens, database, target string) (http.Handler, error) {
	switch kind {
	case "bare", "lookup", "row":
		reply, err := readReply(answer)
		if err != nil {
			return nil, err
		}
		known := func(string) bool { return true }
		switch kind {
		case "lookup":
			known, err = inMap(tokens)
		case "row":
			known, err = inDatabase(database, tokens)
		}
		return checked(reply, known), err
	case "commit":
		return committing(database)
	case "sign":
		return signing()
	case "upstream":
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, upstreamText) }), nil
	case "proxy":
		u, err := url.Parse(target)
		if err != nil {
			return nil, err
		}
		p := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u); r.Out.Host = r.In.Host }}
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConnsPerHost = 256 // the default of 2 would measure dialling
		p.Transport = transport
		return p, nil
	}
	return nil, fmt.Errorf("no yardstick %q", kind)
}

const upstreamText = "a small answer\n"

// reply is the one answer of a yardstick.
type reply struct {
	status  int
	headers http.Header
}

// readReply reads an answer that was written by writeReply.
func readReply(path string) (reply, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return reply{}, err
	}
	r := reply{headers: http.Header{}}
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	if _, err := fmt.Sscan(lines[0], &r.status); err != nil {
		return reply{}, err
	}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		r.headers[name] = append(r.headers[name], value)
	}
	return r, nil
}

// writeReply writes the answer that a server gave, so that yardsticks give the
// same: the same headers with values of the same length.
func writeReply(path string, status int, headers http.Header) error {
	var b strings.Builder
	fmt.Fprintln(&b, status)
	for name, values := range headers {
		if name == "Date" { // every server of net/http adds it
			continue
		}
		for _, v := range values {
			fmt.Fprintf(&b, "%s: %s\n", name, v)
		}
	}
	return os.WriteFile(path, []byte(b.String()), 0o600)
}

// checked answers with reply where the token is known, else with 401.
func checked(r reply, known func(string) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		token, _ := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
		if !known(token) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		h := w.Header()
		for name, values := range r.headers {
			h[name] = values
		}
		w.WriteHeader(r.status)
		if n := h.Get("Content-Length"); n != "" && n != "0" {
			size := 0
			_, _ = fmt.Sscan(n, &size)
			_, _ = w.Write(make([]byte, size))
		}
	})
}

// inMap knows the tokens of a file by their hash.
func inMap(path string) (func(string) bool, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	known := map[[32]byte]int64{}
	ends := time.Now().Add(time.Hour).UnixNano()
	for line := range strings.Lines(string(raw)) {
		known[sha256.Sum256([]byte(strings.TrimSpace(line)))] = ends
	}
	return func(token string) bool {
		ends, ok := known[sha256.Sum256([]byte(token))]
		return ok && time.Now().UnixNano() < ends
	}, nil
}
