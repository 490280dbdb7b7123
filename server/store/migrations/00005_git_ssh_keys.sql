-- The keys with which workspaces of a user speak to git servers.

-- +goose Up

CREATE TABLE git_ssh_keys (
    user_id        UUID PRIMARY KEY REFERENCES users (id),
    public_key     TEXT NOT NULL,
    private_sealed BYTEA NOT NULL,
    created_at     TIMESTAMP NOT NULL,
    updated_at     TIMESTAMP NOT NULL
);
