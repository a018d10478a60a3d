-- Keys of other issuers, whose tokens count until they expire, and who was
-- deleted here: a token of another issuer must not count for whoever comes next
-- under the same name or number.

-- +goose Up

ALTER TABLE signing_keys ADD COLUMN imported text NOT NULL DEFAULT ''; -- JSON, by the core; '': a key of our own

CREATE TABLE departed (
    source  text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    name    text COLLATE "C" NOT NULL,
    at      timestamptz      NOT NULL,
    PRIMARY KEY (source, subject)
);

CREATE INDEX departed_name ON departed (source, name);

-- +goose Down

DROP TABLE departed;
ALTER TABLE signing_keys DROP COLUMN imported;
