package guard_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/latchkey-auth/latchkey/guard"
	"github.com/latchkey-auth/latchkey/latchkeytest"
)

func Example() {
	g, err := guard.New(guard.Options{Server: "https://latchkey.example", Token: os.Getenv("LATCHKEY_TOKEN")})
	if err != nil {
		log.Fatal(err)
	}
	defer g.Close()
	reports := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello %s\n", guard.FromContext(r.Context()).Account)
	})
	http.Handle("/reports/", g.Require("path:/reports/*:read")(reports))
	log.Print(http.ListenAndServe("127.0.0.1:8081", nil))
}

func ExampleGuard_Protect() {
	var g *guard.Guard // as guard.New made it
	mux := http.NewServeMux()
	mux.HandleFunc("GET /reports/{id}", func(http.ResponseWriter, *http.Request) {})    // needs path:/reports/ID:read
	mux.HandleFunc("DELETE /reports/{id}", func(http.ResponseWriter, *http.Request) {}) // needs path:/reports/ID:delete
	log.Fatal(http.ListenAndServe("127.0.0.1:8081", g.Protect(mux)))
}

// Other ways in than HTTP: what an interceptor of a gRPC server does with the
// authorization metadata of a call.
func ExampleGuard_Check() {
	var g *guard.Guard // as guard.New made it
	authorize := func(ctx context.Context, token, method string) (context.Context, error) {
		id, err := g.Check(ctx, guard.Credential{Token: token})
		switch {
		case errors.Is(err, guard.ErrUnavailable):
			return ctx, fmt.Errorf("unavailable: %w", err)
		case err != nil:
			return ctx, fmt.Errorf("unauthenticated: %w", err)
		case !id.Allows("rpc:" + method + ":call"):
			return ctx, errors.New("permission denied")
		}
		return guard.NewContext(ctx, id), nil
	}
	_ = authorize
}

// A handler that is protected, asked by somebody and by nobody.
func ExampleGuard_Require() {
	var t testing.TB = new(example) // the t of the test
	defer t.(*example).end()

	srv := latchkeytest.Start(t)
	g, err := guard.New(guard.Options{Server: srv.URL, Token: srv.Service(t, "reports")})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	h := g.Require("path:/reports/*:read")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello %s", guard.FromContext(r.Context()).Account)
	}))
	for _, token := range []string{srv.Token(t, "alice", "path:/reports/*:read"), srv.Token(t, "alice", "path:/other:read"), "nonsense"} {
		r := httptest.NewRequest("GET", "/reports/7", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		body, _ := io.ReadAll(w.Body)
		fmt.Printf("%d %.11s\n", w.Code, body)
	}
	// Output:
	// 200 hello alice
	// 403 {"type":"ab
	// 401 {"type":"ab
}

// example stands for the t that examples do not get.
type example struct {
	testing.TB
	cleanups []func()
}

func (*example) Helper()                      {}
func (*example) Name() string                 { return "Example" }
func (*example) Context() context.Context     { return context.Background() }
func (e *example) Cleanup(do func())          { e.cleanups = append(e.cleanups, do) }
func (*example) Fatal(args ...any)            { panic(fmt.Sprint(args...)) }
func (*example) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }
func (*example) Errorf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }

func (e *example) end() {
	for i := len(e.cleanups) - 1; i >= 0; i-- {
		e.cleanups[i]()
	}
}
