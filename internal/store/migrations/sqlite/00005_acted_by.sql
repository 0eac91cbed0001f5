-- Which operator's act an event records.

-- +goose Up
ALTER TABLE events ADD COLUMN acted_by TEXT NOT NULL DEFAULT '';
