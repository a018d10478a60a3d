-- +goose Up
-- +goose StatementBegin

CREATE TABLE signing_keys (
    id              TEXT    PRIMARY KEY NOT NULL,
    algorithm       TEXT    NOT NULL,
    public          BLOB,
    certificate     BLOB,
    sealed          BLOB,               -- secret, encrypted under the server's secret
    created_at      INTEGER NOT NULL,
    active_at       INTEGER,
    retire_at       INTEGER,
    longest         INTEGER NOT NULL,   -- microseconds
    withdrawn_at    INTEGER,
    withdrawn_by    TEXT    NOT NULL,
    withdraw_reason TEXT    NOT NULL
) STRICT;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin

DROP TABLE signing_keys;
-- +goose StatementEnd
