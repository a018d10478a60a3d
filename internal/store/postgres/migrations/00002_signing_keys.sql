-- +goose Up
-- +goose StatementBegin

CREATE TABLE signing_keys (
    id              text COLLATE "C" PRIMARY KEY,
    algorithm       text COLLATE "C" NOT NULL,
    public          bytea,
    certificate     bytea,
    sealed          bytea,                  -- secret, encrypted under the server's secret
    created_at      timestamptz NOT NULL,
    active_at       timestamptz,
    retire_at       timestamptz,
    longest         bigint      NOT NULL,   -- microseconds
    withdrawn_at    timestamptz,
    withdrawn_by    text COLLATE "C" NOT NULL,
    withdraw_reason text        NOT NULL
);
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin

DROP TABLE signing_keys;
-- +goose StatementEnd
