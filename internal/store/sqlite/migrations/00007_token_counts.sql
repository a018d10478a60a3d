-- +goose Up
-- +goose StatementBegin

-- How many unrevoked tokens an account has, whether they have expired or not:
-- an upper bound on its live ones that costs the same however many there are.
CREATE TABLE token_counts (
    account_id TEXT    PRIMARY KEY NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    unrevoked  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO token_counts (account_id, unrevoked)
    SELECT account_id, count(*) FROM tokens WHERE revoked_at IS NULL GROUP BY account_id;

CREATE TRIGGER tokens_count_insert AFTER INSERT ON tokens WHEN NEW.revoked_at IS NULL BEGIN
    INSERT INTO token_counts (account_id, unrevoked) VALUES (NEW.account_id, 1)
        ON CONFLICT (account_id) DO UPDATE SET unrevoked = unrevoked + 1;
END;

CREATE TRIGGER tokens_count_revoke AFTER UPDATE OF revoked_at ON tokens
    WHEN OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL BEGIN
    UPDATE token_counts SET unrevoked = unrevoked - 1 WHERE account_id = NEW.account_id;
END;

CREATE TRIGGER tokens_count_revive AFTER UPDATE OF revoked_at ON tokens
    WHEN OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS NULL BEGIN
    UPDATE token_counts SET unrevoked = unrevoked + 1 WHERE account_id = NEW.account_id;
END;

CREATE TRIGGER tokens_count_delete AFTER DELETE ON tokens WHEN OLD.revoked_at IS NULL BEGIN
    UPDATE token_counts SET unrevoked = unrevoked - 1 WHERE account_id = OLD.account_id;
END;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin

DROP TRIGGER tokens_count_delete;
DROP TRIGGER tokens_count_revive;
DROP TRIGGER tokens_count_revoke;
DROP TRIGGER tokens_count_insert;
DROP TABLE token_counts;
-- +goose StatementEnd
