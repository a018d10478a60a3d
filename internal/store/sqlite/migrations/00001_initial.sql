-- Times are whole microseconds since 1970 in UTC; NULL where a record says
-- "never". Lists and maps are JSON, '' when they are empty.

-- +goose Up
-- +goose StatementBegin

CREATE TABLE accounts (
    id              TEXT    PRIMARY KEY NOT NULL,
    kind            TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    source          TEXT    NOT NULL,
    subject         TEXT    NOT NULL,
    email           TEXT    NOT NULL,
    note            TEXT    NOT NULL,
    password_hash   TEXT    NOT NULL,
    fingerprint     TEXT    NOT NULL,
    disabled        INTEGER NOT NULL,
    disabled_reason TEXT    NOT NULL,
    epoch           INTEGER NOT NULL,
    epoch_at        INTEGER,            -- when epoch rose last, for the sweep
    max_tokens      INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    last_login_at   INTEGER
) STRICT;

CREATE UNIQUE INDEX accounts_subject ON accounts (source, subject);
CREATE UNIQUE INDEX accounts_source_name ON accounts (source, name);
CREATE INDEX accounts_name ON accounts (name, id);
CREATE INDEX accounts_epoch ON accounts (epoch_at) WHERE epoch_at IS NOT NULL;

CREATE TABLE groups (
    name       TEXT    PRIMARY KEY NOT NULL,
    note       TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE group_members (
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    group_name TEXT NOT NULL REFERENCES groups (name) ON DELETE CASCADE,
    PRIMARY KEY (account_id, group_name)
) STRICT, WITHOUT ROWID;

CREATE INDEX group_members_group ON group_members (group_name, account_id);

CREATE TABLE grants (
    id         TEXT    PRIMARY KEY NOT NULL,
    account_id TEXT    REFERENCES accounts (id) ON DELETE CASCADE,
    group_name TEXT    REFERENCES groups (name) ON DELETE CASCADE,
    scope      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT    NOT NULL,
    CHECK ((account_id IS NULL) <> (group_name IS NULL))
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX grants_account ON grants (account_id, scope) WHERE account_id IS NOT NULL;
CREATE UNIQUE INDEX grants_group ON grants (group_name, scope) WHERE group_name IS NOT NULL;
CREATE INDEX grants_age ON grants (created_at, id);

-- Rows refer to a token by seq, which keeps their indexes small.
CREATE TABLE tokens (
    seq           INTEGER PRIMARY KEY,
    id            TEXT    NOT NULL UNIQUE,
    account_id    TEXT    NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    class         TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    prefix        TEXT    NOT NULL,
    slot          TEXT    NOT NULL,
    scope         TEXT    NOT NULL,
    labels        TEXT    NOT NULL,
    cidrs         TEXT    NOT NULL,
    epoch         INTEGER NOT NULL,
    parent_id     TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER,
    idle_after    INTEGER NOT NULL,     -- microseconds; 0: never
    revoked_at    INTEGER,
    revoked_by    TEXT    NOT NULL,
    revoke_reason TEXT    NOT NULL,
    rotated_at    INTEGER,
    secrets       INTEGER NOT NULL DEFAULT 1 -- how many it has ever had
) STRICT;

CREATE UNIQUE INDEX tokens_slot ON tokens (account_id, slot) WHERE slot <> '' AND revoked_at IS NULL;
CREATE INDEX tokens_age ON tokens (created_at, id);
CREATE INDEX tokens_account_age ON tokens (account_id, created_at, id);
-- For the count of live tokens: it must not walk over those that have ended.
CREATE INDEX tokens_unrevoked ON tokens (account_id, epoch, expires_at, idle_after) WHERE revoked_at IS NULL;
-- For the sweep.
CREATE INDEX tokens_expiry ON tokens (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX tokens_revocation ON tokens (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX tokens_idle ON tokens (created_at) WHERE idle_after > 0;

-- Last uses change often and by themselves, so they are kept out of the wide
-- and well indexed table of tokens.
CREATE TABLE token_uses (
    token INTEGER PRIMARY KEY REFERENCES tokens (seq) ON DELETE CASCADE,
    at    INTEGER NOT NULL,
    addr  TEXT    NOT NULL,
    agent TEXT    NOT NULL
) STRICT;

CREATE TABLE token_secrets (
    digest          BLOB    PRIMARY KEY NOT NULL,
    token           INTEGER NOT NULL REFERENCES tokens (seq) ON DELETE CASCADE,
    key_id          TEXT    NOT NULL,
    sealed          BLOB,
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER,
    until_successor INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX token_secrets_token ON token_secrets (token, until_successor);
CREATE INDEX token_secrets_expiry ON token_secrets (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE changes (
    seq        INTEGER PRIMARY KEY,
    at         INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    token_id   TEXT    NOT NULL,
    account_id TEXT    NOT NULL
) STRICT;

-- The number of the newest change. It is not taken from the table of changes,
-- whose old rows may be removed.
CREATE TABLE change_counter (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    seq INTEGER NOT NULL
) STRICT;

INSERT INTO change_counter (one, seq) VALUES (1, 0);

CREATE TABLE events (
    at             INTEGER NOT NULL,
    id             TEXT    NOT NULL,
    action         TEXT    NOT NULL,
    outcome        TEXT    NOT NULL,
    reason         TEXT    NOT NULL,
    actor_id       TEXT    NOT NULL,
    actor_name     TEXT    NOT NULL,
    token_id       TEXT    NOT NULL,
    target         TEXT    NOT NULL,
    addr           TEXT    NOT NULL,
    agent          TEXT    NOT NULL,
    request_id     TEXT    NOT NULL,
    correlation_id TEXT    NOT NULL,
    detail         TEXT    NOT NULL,
    count          INTEGER NOT NULL,
    PRIMARY KEY (at, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX events_actor ON events (actor_id, at, id) WHERE actor_id <> '';
CREATE INDEX events_token ON events (token_id, at, id) WHERE token_id <> '';
CREATE INDEX events_target ON events (target, at, id) WHERE target <> '';
CREATE INDEX events_request ON events (request_id, at, id) WHERE request_id <> '';
CREATE INDEX events_correlation ON events (correlation_id, at, id) WHERE correlation_id <> '';

CREATE TABLE server_keys (
    seq         INTEGER PRIMARY KEY,
    id          TEXT    NOT NULL UNIQUE,
    check_value BLOB    NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT;

-- One row that is written to find out whether the database takes writes.
CREATE TABLE probe (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    at  INTEGER NOT NULL
) STRICT;

INSERT INTO probe (one, at) VALUES (1, 0);

INSERT INTO groups (name, note, created_at) VALUES
    ('everyone',  'every account',                      CAST(unixepoch('subsec') * 1000000 AS INTEGER)),
    ('anonymous', 'every request without a credential', CAST(unixepoch('subsec') * 1000000 AS INTEGER));
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin

DROP TABLE probe;
DROP TABLE server_keys;
DROP TABLE events;
DROP TABLE change_counter;
DROP TABLE changes;
DROP TABLE token_secrets;
DROP TABLE token_uses;
DROP TABLE tokens;
DROP TABLE grants;
DROP TABLE group_members;
DROP TABLE groups;
DROP TABLE accounts;
-- +goose StatementEnd
