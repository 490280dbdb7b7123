-- Both dialects run this file. SQLite takes any type name; these are
-- PostgreSQL's. Every TIMESTAMP is UTC (SQLite's driver turns columns
-- declared so into times, TIMESTAMPTZ it would leave as text).
-- A unique index is called table__field: the part after the two underscores
-- is what a conflict is reported as.

-- +goose Up

CREATE TABLE deployment_values (
    key        TEXT PRIMARY KEY,
    value      BYTEA NOT NULL,
    created_at TIMESTAMP NOT NULL
);

CREATE TABLE organizations (
    id           UUID PRIMARY KEY,
    name         TEXT NOT NULL,
    display_name TEXT NOT NULL,
    description  TEXT NOT NULL,
    icon         TEXT NOT NULL,
    is_default   BOOLEAN NOT NULL,
    created_at   TIMESTAMP NOT NULL,
    updated_at   TIMESTAMP NOT NULL
);
CREATE UNIQUE INDEX organizations__name ON organizations (lower(name));
CREATE UNIQUE INDEX organizations__is_default ON organizations (is_default) WHERE is_default;

CREATE TABLE users (
    id              UUID PRIMARY KEY,
    username        TEXT NOT NULL,
    email           TEXT NOT NULL,
    name            TEXT NOT NULL,
    avatar_url      TEXT NOT NULL,
    hashed_password TEXT NOT NULL,
    login_type      TEXT NOT NULL,
    status          TEXT NOT NULL,
    roles           TEXT NOT NULL, -- JSON list of site roles, without member
    created_at      TIMESTAMP NOT NULL,
    updated_at      TIMESTAMP NOT NULL,
    last_seen_at    TIMESTAMP,
    deleted_at      TIMESTAMP
);
CREATE UNIQUE INDEX users__username ON users (lower(username)) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX users__email ON users (lower(email)) WHERE deleted_at IS NULL;

CREATE TABLE api_keys (
    id               TEXT PRIMARY KEY,
    hashed_secret    BYTEA NOT NULL,
    user_id          UUID NOT NULL REFERENCES users (id),
    login_type       TEXT NOT NULL,
    scope            TEXT NOT NULL,
    token_name       TEXT NOT NULL,
    lifetime_seconds BIGINT NOT NULL,
    ip_address       TEXT NOT NULL,
    created_at       TIMESTAMP NOT NULL,
    updated_at       TIMESTAMP NOT NULL,
    expires_at       TIMESTAMP NOT NULL,
    last_used        TIMESTAMP
);
CREATE INDEX api_keys_by_user ON api_keys (user_id);
CREATE UNIQUE INDEX api_keys__token_name ON api_keys (user_id, token_name) WHERE token_name <> '';

CREATE TABLE jobs (
    id              UUID PRIMARY KEY,
    organization_id UUID NOT NULL REFERENCES organizations (id),
    initiator_id    UUID REFERENCES users (id),
    type            TEXT NOT NULL,
    status          TEXT NOT NULL,
    error           TEXT NOT NULL,
    error_code      TEXT NOT NULL,
    created_at      TIMESTAMP NOT NULL,
    updated_at      TIMESTAMP NOT NULL,
    started_at      TIMESTAMP,
    completed_at    TIMESTAMP,
    canceled_at     TIMESTAMP,
    last_log_id     BIGINT NOT NULL,
    logs_bytes      BIGINT NOT NULL,
    logs_overflowed BOOLEAN NOT NULL
);

CREATE TABLE job_logs (
    job_id     UUID NOT NULL REFERENCES jobs (id),
    id         BIGINT NOT NULL, -- 1, 2, 3 of its job, so that "after N" misses nothing
    created_at TIMESTAMP NOT NULL,
    source     TEXT NOT NULL,
    level      TEXT NOT NULL,
    stage      TEXT NOT NULL,
    output     TEXT NOT NULL,
    PRIMARY KEY (job_id, id)
);

CREATE TABLE templates (
    id                  UUID PRIMARY KEY,
    organization_id     UUID NOT NULL REFERENCES organizations (id),
    name                TEXT NOT NULL,
    display_name        TEXT NOT NULL,
    description         TEXT NOT NULL,
    icon                TEXT NOT NULL,
    provisioner         TEXT NOT NULL,
    active_version_id   UUID NOT NULL, -- of template_versions, which is made later
    deprecation_message TEXT NOT NULL,
    created_by_id       UUID REFERENCES users (id), -- NULL: built in
    created_at          TIMESTAMP NOT NULL,
    updated_at          TIMESTAMP NOT NULL,
    deleted_at          TIMESTAMP
);
CREATE UNIQUE INDEX templates__name ON templates (organization_id, lower(name)) WHERE deleted_at IS NULL;

CREATE TABLE template_versions (
    id                 UUID PRIMARY KEY,
    template_id        UUID REFERENCES templates (id),
    organization_id    UUID NOT NULL REFERENCES organizations (id),
    job_id             UUID NOT NULL REFERENCES jobs (id),
    name               TEXT NOT NULL,
    message            TEXT NOT NULL,
    readme             TEXT NOT NULL,
    archived           BOOLEAN NOT NULL,
    has_external_agent BOOLEAN NOT NULL,
    created_by_id      UUID REFERENCES users (id),
    created_at         TIMESTAMP NOT NULL,
    updated_at         TIMESTAMP NOT NULL
);
CREATE UNIQUE INDEX template_versions__name ON template_versions (template_id, lower(name));

CREATE TABLE workspaces (
    id              UUID PRIMARY KEY,
    owner_id        UUID NOT NULL REFERENCES users (id),
    organization_id UUID NOT NULL REFERENCES organizations (id),
    template_id     UUID NOT NULL REFERENCES templates (id),
    latest_build_id UUID NOT NULL, -- of builds, which is made later
    name            TEXT NOT NULL,
    created_at      TIMESTAMP NOT NULL,
    updated_at      TIMESTAMP NOT NULL,
    last_used_at    TIMESTAMP NOT NULL,
    deleted_at      TIMESTAMP
);
CREATE UNIQUE INDEX workspaces__name ON workspaces (owner_id, lower(name)) WHERE deleted_at IS NULL;
CREATE INDEX workspaces_by_name ON workspaces (owner_id, lower(name));

CREATE TABLE builds (
    id                  UUID PRIMARY KEY,
    workspace_id        UUID NOT NULL REFERENCES workspaces (id),
    template_version_id UUID NOT NULL REFERENCES template_versions (id),
    job_id              UUID NOT NULL REFERENCES jobs (id),
    initiator_id        UUID NOT NULL REFERENCES users (id),
    number              BIGINT NOT NULL,
    transition          TEXT NOT NULL,
    reason              TEXT NOT NULL,
    state               BYTEA,
    created_at          TIMESTAMP NOT NULL,
    updated_at          TIMESTAMP NOT NULL
);
CREATE UNIQUE INDEX builds__number ON builds (workspace_id, number);
CREATE UNIQUE INDEX builds__job_id ON builds (job_id);

CREATE TABLE resources (
    id         UUID PRIMARY KEY,
    job_id     UUID NOT NULL REFERENCES jobs (id),
    transition TEXT NOT NULL,
    type       TEXT NOT NULL,
    name       TEXT NOT NULL,
    icon       TEXT NOT NULL,
    hide       BOOLEAN NOT NULL,
    daily_cost BIGINT NOT NULL,
    created_at TIMESTAMP NOT NULL
);
CREATE INDEX resources_by_job ON resources (job_id);

CREATE TABLE agents (
    id                         UUID PRIMARY KEY,
    resource_id                UUID NOT NULL REFERENCES resources (id),
    name                       TEXT NOT NULL,
    operating_system           TEXT NOT NULL,
    architecture               TEXT NOT NULL,
    directory                  TEXT NOT NULL,
    environment                TEXT NOT NULL, -- JSON object
    connection_timeout_seconds BIGINT NOT NULL,
    troubleshooting_url        TEXT NOT NULL,
    external                   BOOLEAN NOT NULL,
    token_hash                 BYTEA NOT NULL,
    token_sealed               BYTEA, -- of external agents
    created_at                 TIMESTAMP NOT NULL,
    updated_at                 TIMESTAMP NOT NULL,
    first_connected_at         TIMESTAMP,
    last_connected_at          TIMESTAMP,
    disconnected_at            TIMESTAMP,
    started_at                 TIMESTAMP,
    ready_at                   TIMESTAMP,
    lifecycle_state            TEXT NOT NULL,
    version                    TEXT NOT NULL,
    api_version                TEXT NOT NULL,
    expanded_directory         TEXT NOT NULL,
    subsystems                 TEXT NOT NULL -- JSON list
);
CREATE UNIQUE INDEX agents__token_hash ON agents (token_hash);
CREATE UNIQUE INDEX agents__name ON agents (resource_id, lower(name));
