-- What a template lets its workspaces do when they are used.

-- +goose Up

ALTER TABLE templates ADD COLUMN activity_bump_seconds BIGINT NOT NULL DEFAULT 3600; -- 0: use puts nothing off
ALTER TABLE templates ADD COLUMN max_lease_seconds BIGINT NOT NULL DEFAULT 86400;
