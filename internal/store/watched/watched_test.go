package watched_test

import (
	"context"
	"reflect"
	"sync"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/store"
	"github.com/latchkey-auth/latchkey/internal/store/sqlite"
	"github.com/latchkey-auth/latchkey/internal/store/storetest"
	"github.com/latchkey-auth/latchkey/internal/store/watched"
)

// notes remembers which methods were begun and ended.
type notes struct {
	mu           sync.Mutex
	began, ended map[string]int
}

func (n *notes) Call(ctx context.Context, _ watched.Kind, method string) (context.Context, func(error)) {
	n.note(&n.began, method)
	return ctx, func(error) { n.note(&n.ended, method) }
}

func (n *notes) note(in *map[string]int, method string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if *in == nil {
		*in = map[string]int{}
	}
	(*in)[method]++
}

// Every method that asks the database is watched, under its own name, once.
func TestAllMethodsAreWatched(t *testing.T) {
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: sqlite.Memory})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	seen := &notes{}
	s := watched.New(db, seen)
	contract := reflect.TypeFor[store.Store]()
	for i := range contract.NumMethod() {
		method := contract.Method(i)
		if method.Name == "Changed" || method.Name == "Close" {
			continue
		}
		args := []reflect.Value{reflect.ValueOf(t.Context())}
		for j := 1; j < method.Type.NumIn(); j++ {
			arg := reflect.New(method.Type.In(j)).Elem()
			if arg.Kind() == reflect.Func {
				arg = reflect.MakeFunc(arg.Type(), func([]reflect.Value) []reflect.Value { return []reflect.Value{reflect.Zero(reflect.TypeFor[error]())} })
			}
			args = append(args, arg)
		}
		reflect.ValueOf(s).MethodByName(method.Name).Call(args)
		if seen.began[method.Name] != 1 || seen.ended[method.Name] != 1 {
			t.Errorf("%s: begun %d times and ended %d times for the observer, want once each: add it to calls.go", method.Name, seen.began[method.Name], seen.ended[method.Name])
		}
	}
}

// A store that is watched still keeps the contract.
func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		db, err := sqlite.Open(t.Context(), sqlite.Options{Path: sqlite.Memory})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return watched.New(db, &notes{})
	})
}
