-- Events get a place, which rises in the order of their commits, and a proof
-- that a server wrote them. Indexes by text lie beside the time alone: events
-- of one microsecond are sorted when they are read.

-- +goose Up
-- +goose StatementBegin

DROP INDEX events_actor;
DROP INDEX events_token;
DROP INDEX events_target;
DROP INDEX events_request;
DROP INDEX events_correlation;
ALTER TABLE events RENAME TO events_before;

CREATE TABLE events (
    place          INTEGER PRIMARY KEY AUTOINCREMENT,
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
    mac            BLOB    NOT NULL     -- empty for those from before
) STRICT;

INSERT INTO events (at, id, action, outcome, reason, actor_id, actor_name, token_id, target, addr, agent,
        request_id, correlation_id, detail, count, mac)
    SELECT at, id, action, outcome, reason, actor_id, actor_name, token_id, target, addr, agent,
        request_id, correlation_id, detail, count, x'' FROM events_before ORDER BY at, id;
DROP TABLE events_before;

CREATE UNIQUE INDEX events_time ON events (at, id);
CREATE INDEX events_actor ON events (actor_id, at) WHERE actor_id <> '';
CREATE INDEX events_token ON events (token_id, at) WHERE token_id <> '';
CREATE INDEX events_target ON events (target, at) WHERE target <> '';
CREATE INDEX events_request ON events (request_id, at) WHERE request_id <> '';
-- Where a client sends no id of its own, both are the same.
CREATE INDEX events_correlation ON events (correlation_id, at) WHERE correlation_id <> '' AND correlation_id <> request_id;

CREATE TABLE event_seals (
    number    INTEGER PRIMARY KEY NOT NULL,
    at        INTEGER NOT NULL,
    previous  BLOB    NOT NULL,
    members   TEXT    NOT NULL,
    count     INTEGER NOT NULL,
    first_at  INTEGER NOT NULL,
    last_at   INTEGER NOT NULL,
    root      BLOB    NOT NULL,
    tags      BLOB    NOT NULL,
    adopted   INTEGER NOT NULL,
    key_id    TEXT    NOT NULL,
    signature BLOB    NOT NULL
) STRICT;

CREATE TABLE event_trim (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    number    INTEGER NOT NULL,
    hash      BLOB    NOT NULL,
    through   INTEGER NOT NULL,
    removed   INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    key_id    TEXT    NOT NULL,
    signature BLOB    NOT NULL
) STRICT;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin

DROP TABLE event_trim;
DROP TABLE event_seals;

DROP INDEX events_time;
DROP INDEX events_actor;
DROP INDEX events_token;
DROP INDEX events_target;
DROP INDEX events_request;
DROP INDEX events_correlation;
ALTER TABLE events RENAME TO events_placed;

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

INSERT INTO events SELECT at, id, action, outcome, reason, actor_id, actor_name, token_id, target, addr, agent,
    request_id, correlation_id, detail, count FROM events_placed;
DROP TABLE events_placed;

CREATE INDEX events_actor ON events (actor_id, at, id) WHERE actor_id <> '';
CREATE INDEX events_token ON events (token_id, at, id) WHERE token_id <> '';
CREATE INDEX events_target ON events (target, at, id) WHERE target <> '';
CREATE INDEX events_request ON events (request_id, at, id) WHERE request_id <> '';
CREATE INDEX events_correlation ON events (correlation_id, at, id) WHERE correlation_id <> '';
-- +goose StatementEnd
