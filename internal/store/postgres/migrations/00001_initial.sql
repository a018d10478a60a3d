-- Texts are compared by their bytes (COLLATE "C"): ids need no other order,
-- and searches by prefix can use the indexes.

-- +goose Up
-- +goose StatementBegin

CREATE TABLE accounts (
    id              text COLLATE "C" PRIMARY KEY,
    kind            text COLLATE "C" NOT NULL,
    name            text COLLATE "C" NOT NULL,
    source          text COLLATE "C" NOT NULL,
    subject         text COLLATE "C" NOT NULL,
    email           text        NOT NULL,
    note            text        NOT NULL,
    password_hash   text        NOT NULL,
    fingerprint     text        NOT NULL,
    disabled        boolean     NOT NULL,
    disabled_reason text        NOT NULL,
    epoch           bigint      NOT NULL,
    epoch_at        timestamptz,            -- when epoch rose last, for the sweep
    max_tokens      bigint      NOT NULL,
    created_at      timestamptz NOT NULL,
    last_login_at   timestamptz
);

CREATE UNIQUE INDEX accounts_subject ON accounts (source, subject);
CREATE UNIQUE INDEX accounts_source_name ON accounts (source, name);
CREATE INDEX accounts_name ON accounts (name, id);
CREATE INDEX accounts_epoch ON accounts (epoch_at) WHERE epoch_at IS NOT NULL;

CREATE TABLE groups (
    name       text COLLATE "C" PRIMARY KEY,
    note       text        NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE group_members (
    account_id text COLLATE "C" NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    group_name text COLLATE "C" NOT NULL REFERENCES groups (name) ON DELETE CASCADE,
    PRIMARY KEY (account_id, group_name)
);

CREATE INDEX group_members_group ON group_members (group_name, account_id);

CREATE TABLE grants (
    id         text COLLATE "C" PRIMARY KEY,
    account_id text COLLATE "C" REFERENCES accounts (id) ON DELETE CASCADE,
    group_name text COLLATE "C" REFERENCES groups (name) ON DELETE CASCADE,
    scope      text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text COLLATE "C" NOT NULL,
    CHECK ((account_id IS NULL) <> (group_name IS NULL))
);

CREATE UNIQUE INDEX grants_account ON grants (account_id, scope) WHERE account_id IS NOT NULL;
CREATE UNIQUE INDEX grants_group ON grants (group_name, scope) WHERE group_name IS NOT NULL;
CREATE INDEX grants_age ON grants (created_at, id);

CREATE TABLE tokens (
    id            text COLLATE "C" PRIMARY KEY,
    account_id    text COLLATE "C" NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    class         text COLLATE "C" NOT NULL,
    name          text COLLATE "C" NOT NULL,
    prefix        text COLLATE "C" NOT NULL,
    slot          text COLLATE "C" NOT NULL,
    scope         text[]      NOT NULL,
    labels        jsonb       NOT NULL,
    cidrs         text[]      NOT NULL,
    epoch         bigint      NOT NULL,
    parent_id     text COLLATE "C" NOT NULL,
    created_at    timestamptz NOT NULL,
    expires_at    timestamptz,
    idle_after    bigint      NOT NULL,     -- microseconds; 0: never
    revoked_at    timestamptz,
    revoked_by    text COLLATE "C" NOT NULL,
    revoke_reason text        NOT NULL,
    rotated_at    timestamptz
);

CREATE UNIQUE INDEX tokens_slot ON tokens (account_id, slot) WHERE slot <> '' AND revoked_at IS NULL;
CREATE INDEX tokens_age ON tokens (created_at, id);
CREATE INDEX tokens_account_age ON tokens (account_id, created_at, id);
-- For the count of live tokens: it must not walk over those that have ended.
CREATE INDEX tokens_unrevoked ON tokens (account_id, epoch, expires_at) WHERE revoked_at IS NULL;
-- For the sweep.
CREATE INDEX tokens_expiry ON tokens (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX tokens_revocation ON tokens (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX tokens_idle ON tokens (created_at) WHERE idle_after > 0;

-- Last uses change often and by themselves, so they are kept out of the wide
-- and well indexed table of tokens; without an index on what changes, a change
-- stays within its page.
CREATE TABLE token_uses (
    token_id text COLLATE "C" PRIMARY KEY REFERENCES tokens (id) ON DELETE CASCADE,
    at       timestamptz NOT NULL,
    addr     text        NOT NULL,
    agent    text        NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE token_secrets (
    digest          bytea       PRIMARY KEY,
    token_id        text COLLATE "C" NOT NULL REFERENCES tokens (id) ON DELETE CASCADE,
    key_id          text COLLATE "C" NOT NULL,
    sealed          bytea,
    created_at      timestamptz NOT NULL,
    expires_at      timestamptz,
    until_successor boolean     NOT NULL
);

CREATE INDEX token_secrets_token ON token_secrets (token_id, until_successor);
CREATE INDEX token_secrets_expiry ON token_secrets (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE changes (
    seq        bigint      PRIMARY KEY,
    at         timestamptz NOT NULL,
    kind       text COLLATE "C" NOT NULL,
    token_id   text COLLATE "C" NOT NULL,
    account_id text COLLATE "C" NOT NULL
);

-- The number of the newest change. A sequence would not do: its numbers are
-- taken in another order than that of the commits. A change of this row is
-- held by its transaction until the commit, and whoever comes next waits.
CREATE TABLE change_counter (
    one integer PRIMARY KEY CHECK (one = 1),
    seq bigint  NOT NULL
) WITH (fillfactor = 10);

INSERT INTO change_counter (one, seq) VALUES (1, 0);

CREATE TABLE events (
    at             timestamptz NOT NULL,
    id             text COLLATE "C" NOT NULL,
    action         text COLLATE "C" NOT NULL,
    outcome        text COLLATE "C" NOT NULL,
    reason         text COLLATE "C" NOT NULL,
    actor_id       text COLLATE "C" NOT NULL,
    actor_name     text COLLATE "C" NOT NULL,
    token_id       text COLLATE "C" NOT NULL,
    target         text COLLATE "C" NOT NULL,
    addr           text        NOT NULL,
    agent          text        NOT NULL,
    request_id     text COLLATE "C" NOT NULL,
    correlation_id text COLLATE "C" NOT NULL,
    detail         jsonb       NOT NULL,
    count          bigint      NOT NULL,
    PRIMARY KEY (at, id)
);

CREATE INDEX events_actor ON events (actor_id, at, id) WHERE actor_id <> '';
CREATE INDEX events_token ON events (token_id, at, id) WHERE token_id <> '';
CREATE INDEX events_target ON events (target, at, id) WHERE target <> '';
CREATE INDEX events_request ON events (request_id, at, id) WHERE request_id <> '';
CREATE INDEX events_correlation ON events (correlation_id, at, id) WHERE correlation_id <> '';

CREATE TABLE server_keys (
    seq         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          text COLLATE "C" NOT NULL UNIQUE,
    check_value bytea       NOT NULL,
    created_at  timestamptz NOT NULL
);

-- One row that is written to find out whether the database takes writes.
CREATE TABLE probe (
    one integer     PRIMARY KEY CHECK (one = 1),
    at  timestamptz NOT NULL
) WITH (fillfactor = 10);

INSERT INTO probe (one, at) VALUES (1, now());

INSERT INTO groups (name, note, created_at) VALUES
    ('everyone',  'every account',                      now()),
    ('anonymous', 'every request without a credential', now());
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
