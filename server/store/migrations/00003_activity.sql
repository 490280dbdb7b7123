-- When workspaces stop by themselves, and what keeps them from it.

-- +goose Up

ALTER TABLE workspaces ADD COLUMN ttl_seconds BIGINT NOT NULL DEFAULT 0; -- 0: never

ALTER TABLE builds ADD COLUMN deadline TIMESTAMP;
CREATE INDEX builds_by_deadline ON builds (deadline) WHERE deadline IS NOT NULL;

CREATE TABLE leases (
    id           UUID PRIMARY KEY,
    workspace_id UUID NOT NULL REFERENCES workspaces (id),
    holder       TEXT NOT NULL,
    reason       TEXT NOT NULL,
    created_at   TIMESTAMP NOT NULL,
    expires_at   TIMESTAMP NOT NULL
);
CREATE INDEX leases_by_workspace ON leases (workspace_id);

CREATE TABLE extensions (
    workspace_id UUID NOT NULL REFERENCES workspaces (id),
    id           BIGINT NOT NULL, -- 1, 2, 3 of its workspace
    created_at   TIMESTAMP NOT NULL,
    cause        TEXT NOT NULL,
    deadline     TIMESTAMP NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
