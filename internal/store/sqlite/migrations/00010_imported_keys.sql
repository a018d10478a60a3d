-- Keys of other issuers, whose tokens count until they expire, and who was
-- deleted here: a token of another issuer must not count for whoever comes next
-- under the same name or number.

-- +goose Up

ALTER TABLE signing_keys ADD COLUMN imported TEXT NOT NULL DEFAULT ''; -- JSON, by the core; '': a key of our own

CREATE TABLE departed (
    source  TEXT    NOT NULL,
    subject TEXT    NOT NULL,
    name    TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (source, subject)
) STRICT, WITHOUT ROWID;

CREATE INDEX departed_name ON departed (source, name);

-- +goose Down

DROP TABLE departed;
ALTER TABLE signing_keys DROP COLUMN imported;
