-- Refunds that are sent: their numbers at the platform, what became of them, and due rows of their own. Rows of earlier
-- versions, which sent none, get the number that they have, and the pending ones are due.

-- +goose Up
ALTER TABLE payments ADD COLUMN late INTEGER NOT NULL DEFAULT 0 CHECK (late IN (0, 1));
ALTER TABLE refunds ADD COLUMN shop TEXT NOT NULL DEFAULT '';
ALTER TABLE refunds ADD COLUMN account TEXT NOT NULL DEFAULT '';
ALTER TABLE refunds ADD COLUMN out_refund_no TEXT NOT NULL DEFAULT '';
ALTER TABLE refunds ADD COLUMN code TEXT NOT NULL DEFAULT '';
ALTER TABLE refunds ADD COLUMN quiet INTEGER NOT NULL DEFAULT 0 CHECK (quiet IN (0, 1));
ALTER TABLE refunds ADD COLUMN sent_at INTEGER;
ALTER TABLE refunds ADD COLUMN succeeded_at INTEGER;
UPDATE refunds SET out_refund_no = refund_no,
	shop = (SELECT p.shop FROM payments p WHERE p.id = refunds.payment_id),
	account = (SELECT a.account FROM attempts a WHERE a.id = refunds.attempt_id),
	due_at = CASE WHEN status = 'pending' THEN created_at ELSE due_at END;
DROP INDEX refunds_number;
CREATE UNIQUE INDEX refunds_number ON refunds (shop, refund_no) WHERE external = 0;
CREATE UNIQUE INDEX refunds_out_refund_no ON refunds (out_refund_no, account);
CREATE INDEX events_shop ON events (shop, pos) WHERE body IS NOT NULL;
CREATE INDEX refunds_payment ON refunds (payment_id, created_at, id);
CREATE INDEX refunds_due ON refunds (account, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX refunds_leased ON refunds (account, lease_until) WHERE lease_until IS NOT NULL;

-- +goose StatementBegin
CREATE TRIGGER refunds_number_once BEFORE UPDATE OF shop, account, out_refund_no, automatic, external ON refunds
WHEN OLD.shop IS NOT NEW.shop OR OLD.account IS NOT NEW.account OR OLD.out_refund_no IS NOT NEW.out_refund_no
	OR OLD.automatic IS NOT NEW.automatic OR OLD.external IS NOT NEW.external
BEGIN SELECT RAISE(ABORT, 'refunds: numbers and origin are written once'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER refunds_status BEFORE UPDATE OF status ON refunds
WHEN OLD.status = 'succeeded' AND NEW.status <> 'succeeded'
BEGIN SELECT RAISE(ABORT, 'refunds: nothing leaves succeeded'); END;
-- +goose StatementEnd
