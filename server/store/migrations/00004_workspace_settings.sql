-- What owners set about their workspaces: when they start, what they run, and
-- which they like best.

-- +goose Up

ALTER TABLE workspaces ADD COLUMN autostart_schedule TEXT NOT NULL DEFAULT ''; -- empty: never
ALTER TABLE workspaces ADD COLUMN next_start_at TIMESTAMP; -- of the schedule
CREATE INDEX workspaces_by_next_start ON workspaces (next_start_at) WHERE next_start_at IS NOT NULL;
ALTER TABLE workspaces ADD COLUMN automatic_updates TEXT NOT NULL DEFAULT 'never';
ALTER TABLE workspaces ADD COLUMN favorite BOOLEAN NOT NULL DEFAULT FALSE;
