-- How an attempt's messages are signed, where its driver knows more than one way.

-- +goose Up
ALTER TABLE attempts ADD COLUMN variant TEXT NOT NULL DEFAULT '';
