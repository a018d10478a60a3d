-- Events get a place, which rises, and a proof that a server wrote them.

-- +goose Up
-- +goose StatementBegin

-- No identity column: a copy of the database keeps the places.
CREATE SEQUENCE events_place;
ALTER TABLE events ADD COLUMN place bigint, ADD COLUMN mac bytea;
UPDATE events SET place = o.place, mac = '' -- empty for those from before
    FROM (SELECT at, id, row_number() OVER (ORDER BY at, id) AS place FROM events) AS o
    WHERE events.at = o.at AND events.id = o.id;
SELECT setval('events_place', (SELECT count(*) + 1 FROM events), false);
ALTER TABLE events ALTER COLUMN place SET DEFAULT nextval('events_place');
ALTER TABLE events ALTER COLUMN place SET NOT NULL, ALTER COLUMN mac SET NOT NULL;
ALTER SEQUENCE events_place OWNED BY events.place;
ALTER TABLE events DROP CONSTRAINT events_pkey;
ALTER TABLE events ADD PRIMARY KEY (place);
CREATE UNIQUE INDEX events_time ON events (at, id);

DROP INDEX events_correlation;
-- Where a client sends no id of its own, both are the same.
CREATE INDEX events_correlation ON events (correlation_id, at, id) WHERE correlation_id <> '' AND correlation_id <> request_id;

CREATE TABLE event_seals (
    number    bigint      PRIMARY KEY,
    at        timestamptz NOT NULL,
    previous  bytea       NOT NULL,
    members   text        NOT NULL,
    count     bigint      NOT NULL,
    first_at  timestamptz NOT NULL,
    last_at   timestamptz NOT NULL,
    root      bytea       NOT NULL,
    tags      bytea       NOT NULL,
    adopted   boolean     NOT NULL,
    key_id    text COLLATE "C" NOT NULL,
    signature bytea       NOT NULL
);

CREATE TABLE event_trim (
    one       integer     PRIMARY KEY CHECK (one = 1),
    number    bigint      NOT NULL,
    hash      bytea       NOT NULL,
    through   timestamptz NOT NULL,
    removed   bigint      NOT NULL,
    at        timestamptz NOT NULL,
    key_id    text COLLATE "C" NOT NULL,
    signature bytea       NOT NULL
);
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin

DROP TABLE event_trim;
DROP TABLE event_seals;
DROP INDEX events_correlation;
DROP INDEX events_time;
ALTER TABLE events DROP COLUMN place, DROP COLUMN mac;
ALTER TABLE events ADD PRIMARY KEY (at, id);
CREATE INDEX events_correlation ON events (correlation_id, at, id) WHERE correlation_id <> '';
-- +goose StatementEnd
