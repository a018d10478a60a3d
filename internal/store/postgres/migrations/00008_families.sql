-- Families of refresh tokens. A family is a token of its own class whose
-- secrets are its refresh tokens; here is what it has beside that.

-- +goose Up
-- +goose StatementBegin

CREATE TABLE families (
    token_id text COLLATE "C" PRIMARY KEY REFERENCES tokens (id) ON DELETE CASCADE,
    terms    text             NOT NULL  -- JSON, by the core
);

CREATE TABLE spent_secrets (
    digest    bytea            PRIMARY KEY,
    token_id  text COLLATE "C" NOT NULL REFERENCES tokens (id) ON DELETE CASCADE,
    at        timestamptz      NOT NULL,
    successor bytea,                    -- sealed under the server's secret
    replays   bigint           NOT NULL
);

CREATE INDEX spent_secrets_token ON spent_secrets (token_id);
CREATE INDEX spent_secrets_sealed ON spent_secrets (token_id, at) WHERE successor IS NOT NULL;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin

DROP TABLE spent_secrets;
DROP TABLE families;
-- +goose StatementEnd
