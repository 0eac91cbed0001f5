-- The tables of Piaohao on PostgreSQL. The same tables on SQLite stand in ../sqlite; a test compares the two.
-- Times are UTC milliseconds (NULL: not yet), JSON is text, truth is 0 or 1, money is fen.

-- +goose Up
CREATE TABLE meta (
	name  TEXT NOT NULL PRIMARY KEY,
	value TEXT NOT NULL
);

CREATE TABLE shops (
	id   TEXT NOT NULL PRIMARY KEY,
	name TEXT NOT NULL
);

CREATE TABLE api_keys (
	hash     BYTEA    NOT NULL PRIMARY KEY,
	shop     TEXT    NOT NULL REFERENCES shops (id),
	livemode BIGINT  NOT NULL CHECK (livemode IN (0, 1))
);

CREATE TABLE endpoints (
	id       TEXT    NOT NULL PRIMARY KEY,
	shop     TEXT    NOT NULL UNIQUE REFERENCES shops (id),
	url      TEXT    NOT NULL,
	secret   TEXT    NOT NULL,
	failures BIGINT  NOT NULL DEFAULT 0
);

-- bucket is the moment, in microseconds, at which the account's rate bucket is full again (GCRA).
CREATE TABLE accounts (
	id              TEXT    NOT NULL PRIMARY KEY,
	channel         TEXT    NOT NULL,
	method          TEXT    NOT NULL,
	app_id          TEXT    NOT NULL,
	merchant_id     TEXT    NOT NULL,
	livemode        BIGINT  NOT NULL CHECK (livemode IN (0, 1)),
	rate_per_second BIGINT  NOT NULL CHECK (rate_per_second > 0),
	bucket          BIGINT  NOT NULL DEFAULT 0,
	back_off_until  BIGINT
);

CREATE TABLE payments (
	id              TEXT    NOT NULL PRIMARY KEY,
	shop            TEXT    NOT NULL,
	order_no        TEXT    NOT NULL,
	amount          BIGINT  NOT NULL CHECK (amount > 0 AND amount <= 10000000000),
	currency        TEXT    NOT NULL CHECK (currency = 'CNY'),
	subject         TEXT    NOT NULL,
	status          TEXT    NOT NULL CHECK (status IN ('open', 'paid', 'closed')),
	livemode        BIGINT  NOT NULL CHECK (livemode IN (0, 1)),
	token           TEXT    NOT NULL,
	return_url      TEXT    NOT NULL,
	metadata        TEXT    NOT NULL,
	created_at      BIGINT  NOT NULL,
	expires_at      BIGINT  NOT NULL,
	close_wanted_at BIGINT,
	close_reason    TEXT    NOT NULL,
	closed_at       BIGINT,
	paid_at         BIGINT,
	paid_attempt    TEXT    NOT NULL CHECK (status <> 'paid' OR paid_attempt <> ''),
	seq             BIGINT  NOT NULL CHECK (seq > 0),
	watched_until   BIGINT
);
CREATE UNIQUE INDEX payments_token ON payments (token);
CREATE UNIQUE INDEX payments_order ON payments (shop, order_no) WHERE status IN ('open', 'paid');
CREATE INDEX payments_order_closed ON payments (shop, order_no) WHERE status = 'closed';
CREATE INDEX payments_expiry ON payments (expires_at) WHERE status = 'open' AND close_wanted_at IS NULL;
CREATE INDEX payments_watched ON payments (watched_until) WHERE watched_until IS NOT NULL;

CREATE TABLE attempts (
	id              TEXT    NOT NULL PRIMARY KEY,
	payment_id      TEXT    NOT NULL REFERENCES payments (id),
	out_trade_no    TEXT    NOT NULL CHECK (length(out_trade_no) BETWEEN 1 AND 32),
	method          TEXT    NOT NULL,
	product         TEXT    NOT NULL,
	status          TEXT    NOT NULL CHECK (status IN ('opening', 'open', 'paid', 'closed', 'refused')),
	amount          BIGINT  NOT NULL CHECK (amount > 0 AND amount <= 10000000000),
	currency        TEXT    NOT NULL CHECK (currency = 'CNY'),
	account         TEXT    NOT NULL,
	channel         TEXT    NOT NULL,
	app_id          TEXT    NOT NULL,
	merchant_id     TEXT    NOT NULL,
	subject         TEXT    NOT NULL,
	notify_url      TEXT    NOT NULL,
	return_url      TEXT    NOT NULL,
	client_ip       TEXT    NOT NULL,
	expires_at      BIGINT  NOT NULL,
	created_at      BIGINT  NOT NULL,
	lazy            BIGINT  NOT NULL CHECK (lazy IN (0, 1)),
	shape_kind      TEXT    NOT NULL,
	shape_text      TEXT    NOT NULL,
	shape_until     BIGINT,
	handed_out_at   BIGINT,
	close_wanted_at BIGINT,
	closed_at       BIGINT,
	transaction_id  TEXT    CHECK (CASE status WHEN 'paid' THEN transaction_id <> '' AND transaction_id IS NOT NULL ELSE transaction_id IS NULL END),
	paid_at         BIGINT,
	refunded        BIGINT  NOT NULL CHECK (refunded >= 0),
	surplus         BIGINT  NOT NULL CHECK (surplus IN (0, 1)),
	due_at          BIGINT,
	lease_until     BIGINT,
	tries           BIGINT  NOT NULL,
	asked           BIGINT  NOT NULL,
	failures        BIGINT  NOT NULL
);
CREATE UNIQUE INDEX attempts_out_trade_no ON attempts (out_trade_no, account);
CREATE UNIQUE INDEX attempts_transaction ON attempts (transaction_id, account) WHERE transaction_id IS NOT NULL;
CREATE UNIQUE INDEX attempts_live ON attempts (payment_id, account, product) WHERE status IN ('opening', 'open');
CREATE INDEX attempts_payment ON attempts (payment_id, created_at, id);
CREATE INDEX attempts_due ON attempts (account, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX attempts_leased ON attempts (account, lease_until) WHERE lease_until IS NOT NULL;

CREATE TABLE refunds (
	id          TEXT    NOT NULL PRIMARY KEY,
	payment_id  TEXT    NOT NULL REFERENCES payments (id),
	attempt_id  TEXT    NOT NULL REFERENCES attempts (id),
	refund_no   TEXT    NOT NULL,
	amount      BIGINT  NOT NULL CHECK (amount > 0 AND amount <= 10000000000),
	status      TEXT    NOT NULL CHECK (status IN ('pending', 'processing', 'succeeded', 'failed', 'abnormal')),
	reason      TEXT    NOT NULL,
	automatic   BIGINT  NOT NULL CHECK (automatic IN (0, 1)),
	external    BIGINT  NOT NULL CHECK (external IN (0, 1)),
	created_at  BIGINT  NOT NULL,
	due_at      BIGINT,
	lease_until BIGINT,
	tries       BIGINT  NOT NULL,
	asked       BIGINT  NOT NULL,
	failures    BIGINT  NOT NULL
);
CREATE UNIQUE INDEX refunds_number ON refunds (payment_id, refund_no);

-- for_shops is the type's answer to "do webhooks carry it", so that the fan-out is one statement.
CREATE TABLE events (
	payment_id TEXT    NOT NULL REFERENCES payments (id),
	seq        BIGINT  NOT NULL CHECK (seq > 0),
	id         TEXT    NOT NULL,
	type       TEXT    NOT NULL,
	attempt_id TEXT    NOT NULL,
	refund_id  TEXT    NOT NULL,
	at         BIGINT  NOT NULL,
	livemode   BIGINT  NOT NULL CHECK (livemode IN (0, 1)),
	shop       TEXT    NOT NULL,
	for_shops  BIGINT  NOT NULL CHECK (for_shops IN (0, 1)),
	body       BYTEA,
	pos        BIGINT,
	PRIMARY KEY (payment_id, seq)
);
CREATE UNIQUE INDEX events_id ON events (id);
CREATE UNIQUE INDEX events_pos ON events (pos);
CREATE INDEX events_unnumbered ON events (payment_id, seq) WHERE pos IS NULL;

CREATE TABLE incidents (
	id         TEXT    NOT NULL PRIMARY KEY,
	account    TEXT    NOT NULL,
	digest     TEXT    NOT NULL,
	kind       TEXT    NOT NULL,
	payment_id TEXT    NOT NULL,
	attempt_id TEXT    NOT NULL,
	detail     TEXT    NOT NULL,
	raw        BYTEA,
	at         BIGINT  NOT NULL
);
CREATE UNIQUE INDEX incidents_once ON incidents (account, digest);

CREATE TABLE deliveries (
	event_id     TEXT    NOT NULL REFERENCES events (id),
	endpoint_id  TEXT    NOT NULL,
	due_at       BIGINT,
	lease_until  BIGINT,
	tries        BIGINT  NOT NULL DEFAULT 0,
	failures     BIGINT  NOT NULL DEFAULT 0,
	delivered_at BIGINT,
	status       BIGINT  NOT NULL DEFAULT 0,
	excerpt      TEXT    NOT NULL DEFAULT '',
	PRIMARY KEY (event_id, endpoint_id)
);
CREATE INDEX deliveries_due ON deliveries (endpoint_id, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX deliveries_leased ON deliveries (endpoint_id, lease_until) WHERE lease_until IS NOT NULL;

CREATE TABLE tails (
	name   TEXT    NOT NULL PRIMARY KEY,
	cursor BIGINT  NOT NULL
);
INSERT INTO tails (name, cursor) VALUES ('deliveries', 0);

-- Money rule 8: written once. A status changes only together with its event (I-08).
-- +goose StatementBegin
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME; END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION refuse_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF OLD.status = 'paid' OR NEW.seq <= OLD.seq
		OR NOT EXISTS (SELECT 1 FROM events e WHERE e.payment_id = NEW.id AND e.seq = NEW.seq) THEN
		RAISE EXCEPTION 'payments: nothing leaves paid, and a status changes only with its event'
			USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
	END IF;
	RETURN NEW;
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER payments_identity BEFORE UPDATE OF id, shop, order_no, amount, currency, livemode ON payments
FOR EACH ROW WHEN (OLD.id IS DISTINCT FROM NEW.id OR OLD.shop IS DISTINCT FROM NEW.shop OR OLD.order_no IS DISTINCT FROM NEW.order_no
	OR OLD.amount IS DISTINCT FROM NEW.amount OR OLD.currency IS DISTINCT FROM NEW.currency OR OLD.livemode IS DISTINCT FROM NEW.livemode)
EXECUTE FUNCTION refuse('payments: amount, currency and identity are written once');
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER payments_paid_once BEFORE UPDATE OF paid_at, paid_attempt ON payments
FOR EACH ROW WHEN ((OLD.paid_at IS NOT NULL AND OLD.paid_at IS DISTINCT FROM NEW.paid_at)
	OR (OLD.paid_attempt <> '' AND OLD.paid_attempt IS DISTINCT FROM NEW.paid_attempt))
EXECUTE FUNCTION refuse('payments: paid_at and paid_attempt are written once');
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER payments_status BEFORE UPDATE OF status ON payments
FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION refuse_status();
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER attempts_identity BEFORE UPDATE OF id, payment_id, out_trade_no, account, amount, currency ON attempts
FOR EACH ROW WHEN (OLD.id IS DISTINCT FROM NEW.id OR OLD.payment_id IS DISTINCT FROM NEW.payment_id OR OLD.out_trade_no IS DISTINCT FROM NEW.out_trade_no
	OR OLD.account IS DISTINCT FROM NEW.account OR OLD.amount IS DISTINCT FROM NEW.amount OR OLD.currency IS DISTINCT FROM NEW.currency)
EXECUTE FUNCTION refuse('attempts: amount, currency and identity are written once');
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER attempts_paid_once BEFORE UPDATE OF transaction_id, paid_at ON attempts
FOR EACH ROW WHEN ((OLD.transaction_id IS NOT NULL AND OLD.transaction_id IS DISTINCT FROM NEW.transaction_id)
	OR (OLD.paid_at IS NOT NULL AND OLD.paid_at IS DISTINCT FROM NEW.paid_at))
EXECUTE FUNCTION refuse('attempts: transaction_id and paid_at are written once');
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER attempts_status BEFORE UPDATE OF status ON attempts
FOR EACH ROW WHEN (OLD.status = 'paid' AND NEW.status <> 'paid')
EXECUTE FUNCTION refuse('attempts: nothing leaves paid');
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER refunds_identity BEFORE UPDATE OF id, payment_id, attempt_id, refund_no, amount ON refunds
FOR EACH ROW WHEN (OLD.id IS DISTINCT FROM NEW.id OR OLD.payment_id IS DISTINCT FROM NEW.payment_id OR OLD.attempt_id IS DISTINCT FROM NEW.attempt_id
	OR OLD.refund_no IS DISTINCT FROM NEW.refund_no OR OLD.amount IS DISTINCT FROM NEW.amount)
EXECUTE FUNCTION refuse('refunds: amount and identity are written once');
-- +goose StatementEnd
