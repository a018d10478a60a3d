-- Families of refresh tokens. A family is a token of its own class whose
-- secrets are its refresh tokens; here is what it has beside that.

-- +goose Up
-- +goose StatementBegin

CREATE TABLE families (
    token INTEGER PRIMARY KEY REFERENCES tokens (seq) ON DELETE CASCADE,
    terms TEXT    NOT NULL              -- JSON, by the core
) STRICT;

CREATE TABLE spent_secrets (
    digest    BLOB    PRIMARY KEY NOT NULL,
    token     INTEGER NOT NULL REFERENCES tokens (seq) ON DELETE CASCADE,
    at        INTEGER NOT NULL,
    successor BLOB,                     -- sealed under the server's secret
    replays   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX spent_secrets_token ON spent_secrets (token);
CREATE INDEX spent_secrets_sealed ON spent_secrets (token, at) WHERE successor IS NOT NULL;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin

DROP TABLE spent_secrets;
DROP TABLE families;
-- +goose StatementEnd
