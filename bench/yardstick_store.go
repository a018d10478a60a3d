package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "modernc.org/sqlite"
)

// table is the least that a token needs: one row found by its hash.
type table interface {
	// fill stores hashes; what is there already stays.
	fill(hashes [][]byte) error
	// has reports whether the row of a live token is there.
	has(hash []byte) bool
	// commit stores some hashes in one transaction that is durable on return.
	commit(hashes [][]byte) error
	// run executes a statement.
	run(ctx context.Context, statement string) error
	close()
}

// sqlitePrefix begins the name of a database that is a file.
const sqlitePrefix = "sqlite:"

const (
	makeTable = `CREATE TABLE IF NOT EXISTS yardstick (hash %s PRIMARY KEY, owner TEXT NOT NULL, scope TEXT NOT NULL,
		created BIGINT NOT NULL, expires BIGINT NOT NULL)`
	insertRow = `INSERT INTO yardstick (hash, owner, scope, created, expires) VALUES ($1, 'owner', 'path:/files/*:read', 1, $2) ON CONFLICT DO NOTHING`
	selectRow = `SELECT owner, scope, expires FROM yardstick WHERE hash = $1`
	noEnd     = int64(1) << 62
)

func openTable(database string) (table, error) {
	if path, ok := strings.CutPrefix(database, sqlitePrefix); ok {
		return openSQLite(path)
	}
	return openPostgres(database)
}

type sqliteTable struct {
	write      *sql.DB
	read       *sql.DB
	get, store *sql.Stmt
}

// openSQLite opens a file as Latchkey does: WAL, synchronous FULL, one writer.
func openSQLite(path string) (table, error) {
	dsn := "file:" + path + "?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(5000)&_pragma=cache_size(-8192)"
	write, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	write.SetMaxOpenConns(1)
	if _, err := write.Exec(fmt.Sprintf(makeTable, "BLOB") + " WITHOUT ROWID"); err != nil {
		return nil, err
	}
	read, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	read.SetMaxOpenConns(runtime.GOMAXPROCS(0))
	read.SetMaxIdleConns(runtime.GOMAXPROCS(0))
	t := &sqliteTable{write: write, read: read}
	if t.get, err = read.Prepare(selectRow); err != nil {
		return nil, err
	}
	t.store, err = write.Prepare(insertRow)
	return t, err
}

func (t *sqliteTable) has(hash []byte) bool {
	var owner, scope string
	var expires int64
	return t.get.QueryRow(hash).Scan(&owner, &scope, &expires) == nil && time.Now().UnixNano() < expires
}

func (t *sqliteTable) run(ctx context.Context, statement string) error {
	_, err := t.write.ExecContext(ctx, statement)
	return err
}

func (t *sqliteTable) close() {
	_ = t.write.Close()
	_ = t.read.Close()
}

func (t *sqliteTable) fill(hashes [][]byte) error { return t.commit(hashes) }

func (t *sqliteTable) commit(hashes [][]byte) error {
	tx, err := t.write.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it does nothing
	store := tx.Stmt(t.store)
	for _, h := range hashes {
		if _, err := store.Exec(h, noEnd); err != nil {
			return err
		}
	}
	return tx.Commit()
}

type postgresTable struct{ pool *pgxpool.Pool }

func openPostgres(dsn string) (table, error) {
	pool, err := pgxpool.New(context.Background(), dsn)
	if err != nil {
		return nil, err
	}
	_, err = pool.Exec(context.Background(), fmt.Sprintf(makeTable, "BYTEA"))
	return &postgresTable{pool}, err
}

func (t *postgresTable) has(hash []byte) bool {
	var owner, scope string
	var expires int64
	err := t.pool.QueryRow(context.Background(), selectRow, hash).Scan(&owner, &scope, &expires)
	return err == nil && time.Now().UnixNano() < expires
}

func (t *postgresTable) run(ctx context.Context, statement string) error {
	_, err := t.pool.Exec(ctx, statement)
	return err
}

func (t *postgresTable) close() { t.pool.Close() }

func (t *postgresTable) fill(hashes [][]byte) error {
	for len(hashes) > 0 {
		n := min(len(hashes), 1000)
		if err := t.commit(hashes[:n]); err != nil {
			return err
		}
		hashes = hashes[n:]
	}
	return nil
}

// commit sends one pipelined batch, which is one transaction.
func (t *postgresTable) commit(hashes [][]byte) error {
	var b pgx.Batch
	for _, h := range hashes {
		b.Queue(insertRow, h, noEnd)
	}
	return t.pool.SendBatch(context.Background(), &b).Close()
}

// inDatabase knows the tokens of a file by the row of their hash.
func inDatabase(database, tokens string) (func(string) bool, error) {
	t, err := openTable(database)
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(tokens)
	if err != nil {
		return nil, err
	}
	var hashes [][]byte
	for line := range strings.Lines(string(raw)) {
		sum := sha256.Sum256([]byte(strings.TrimSpace(line)))
		hashes = append(hashes, sum[:])
	}
	if err := t.fill(hashes); err != nil {
		return nil, err
	}
	return func(token string) bool {
		sum := sha256.Sum256([]byte(token))
		return t.has(sum[:])
	}, nil
}

// maxGroup is how many share one commit, as in Latchkey's own writer.
const maxGroup = 128

type waiting struct {
	hash []byte
	done chan error
}

// committing issues tokens: who comes while a commit is under way shares the
// next one.
func committing(database string) (http.Handler, error) {
	t, err := openTable(database)
	if err != nil {
		return nil, err
	}
	queue := make(chan waiting, 2*maxGroup)
	go commitInGroups(t, queue)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			Name      string `json:"name"`
			ExpiresIn int64  `json:"expires_in"`
		}
		if json.NewDecoder(r.Body).Decode(&asked) != nil || asked.Name == "" || r.Header.Get("Authorization") == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		var b [20]byte
		_, _ = rand.Read(b[:])
		token := base64.RawURLEncoding.EncodeToString(b[:])
		sum := sha256.Sum256([]byte(token))
		one := waiting{sum[:], make(chan error, 1)}
		queue <- one
		if err := <-one.done; err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header()["Content-Type"] = []string{"application/json"}
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]any{"token": token, "name": asked.Name, "expires_in": asked.ExpiresIn})
	}), nil
}

func commitInGroups(t table, queue <-chan waiting) {
	for first := range queue {
		group := []waiting{first}
		for more := true; more && len(group) < maxGroup; {
			select {
			case next := <-queue:
				group = append(group, next)
			default:
				more = false
			}
		}
		hashes := make([][]byte, len(group))
		for i, one := range group {
			hashes[i] = one.hash
		}
		err := t.commit(hashes)
		for _, one := range group {
			one.done <- err
		}
	}
}
