-- What operators look up: what was sent to platforms and came from them, and API keys that can be named and revoked.

-- +goose Up
-- A row stands for equal messages; times counts them. Never a body, never a secret. out_trade_no is what a refused message
-- claims to be about.
CREATE TABLE exchanges (
	id           TEXT    NOT NULL PRIMARY KEY,
	account      TEXT    NOT NULL,
	attempt_id   TEXT    NOT NULL,
	out_trade_no TEXT    NOT NULL,
	direction    TEXT    NOT NULL CHECK (direction IN ('in', 'out')),
	op           TEXT    NOT NULL,
	outcome      TEXT    NOT NULL,
	code         TEXT    NOT NULL,
	request_id   TEXT    NOT NULL,
	first_at     BIGINT  NOT NULL,
	last_at      BIGINT  NOT NULL,
	times        BIGINT  NOT NULL CHECK (times > 0),
	refused      BIGINT  NOT NULL CHECK (refused IN (0, 1))
);
CREATE INDEX exchanges_same ON exchanges (attempt_id, account, out_trade_no, op, last_at);
CREATE INDEX exchanges_refused ON exchanges (last_at) WHERE refused = 1;

CREATE INDEX incidents_payment ON incidents (payment_id);
CREATE INDEX incidents_at ON incidents (at);

ALTER TABLE api_keys ADD COLUMN id TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN hint TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN created_at BIGINT;
ALTER TABLE api_keys ADD COLUMN created_by TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN revoked_at BIGINT;
ALTER TABLE api_keys ADD COLUMN revoked_by TEXT NOT NULL DEFAULT '';
UPDATE api_keys SET id = 'key_' || substr(encode(hash, 'hex'), 1, 26);
CREATE UNIQUE INDEX api_keys_id ON api_keys (id);
