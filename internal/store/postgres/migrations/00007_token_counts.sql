-- +goose Up
-- +goose StatementBegin

-- How many unrevoked tokens an account has, whether they have expired or not:
-- an upper bound on its live ones that costs the same however many there are.
CREATE TABLE token_counts (
    account_id text COLLATE "C" PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    unrevoked  bigint NOT NULL
) WITH (fillfactor = 50);

INSERT INTO token_counts (account_id, unrevoked)
    SELECT account_id, count(*) FROM tokens WHERE revoked_at IS NULL GROUP BY account_id;

-- The triggers run once for a statement: for each row, a statement about many
-- tokens of one account would make as many versions of one row.

CREATE FUNCTION count_added_tokens() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO token_counts AS c (account_id, unrevoked)
        SELECT account_id, count(*) FROM added WHERE revoked_at IS NULL GROUP BY account_id ORDER BY account_id
        ON CONFLICT (account_id) DO UPDATE SET unrevoked = c.unrevoked + excluded.unrevoked;
    RETURN NULL;
END $$;

CREATE FUNCTION count_removed_tokens() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE token_counts c SET unrevoked = c.unrevoked - g.n
        FROM (SELECT account_id, count(*) AS n FROM removed WHERE revoked_at IS NULL GROUP BY account_id) g
        WHERE c.account_id = g.account_id;
    RETURN NULL;
END $$;

CREATE FUNCTION count_changed_tokens() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE token_counts c SET unrevoked = c.unrevoked + g.n
        FROM (SELECT account_id, sum(n) AS n FROM (
                SELECT account_id, 1 AS n FROM added WHERE revoked_at IS NULL
                UNION ALL
                SELECT account_id, -1 FROM removed WHERE revoked_at IS NULL
            ) AS parts GROUP BY account_id HAVING sum(n) <> 0) g
        WHERE c.account_id = g.account_id;
    RETURN NULL;
END $$;

CREATE TRIGGER tokens_count_insert AFTER INSERT ON tokens REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION count_added_tokens();
CREATE TRIGGER tokens_count_delete AFTER DELETE ON tokens REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION count_removed_tokens();
CREATE TRIGGER tokens_count_update AFTER UPDATE ON tokens REFERENCING OLD TABLE AS removed NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION count_changed_tokens();
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin

DROP TRIGGER tokens_count_update ON tokens;
DROP TRIGGER tokens_count_delete ON tokens;
DROP TRIGGER tokens_count_insert ON tokens;
DROP FUNCTION count_changed_tokens();
DROP FUNCTION count_removed_tokens();
DROP FUNCTION count_added_tokens();
DROP TABLE token_counts;
-- +goose StatementEnd
