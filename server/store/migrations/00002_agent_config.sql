-- What a template says about agents beyond their machine, what their scripts
-- log and how they end, and the parameters of builds.

-- +goose Up

ALTER TABLE agents ADD COLUMN config TEXT NOT NULL DEFAULT '{}'; -- JSON, AgentConfig
ALTER TABLE agents ADD COLUMN last_log_id BIGINT NOT NULL DEFAULT 0;
ALTER TABLE agents ADD COLUMN logs_bytes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE agents ADD COLUMN logs_overflowed BOOLEAN NOT NULL DEFAULT FALSE;

ALTER TABLE builds ADD COLUMN parameters TEXT NOT NULL DEFAULT '{}'; -- JSON object

CREATE TABLE agent_logs (
    agent_id   UUID NOT NULL REFERENCES agents (id),
    id         BIGINT NOT NULL, -- 1, 2, 3 of its agent
    created_at TIMESTAMP NOT NULL,
    source_id  UUID NOT NULL,
    level      TEXT NOT NULL,
    output     TEXT NOT NULL,
    PRIMARY KEY (agent_id, id)
);

CREATE TABLE script_runs (
    agent_id   UUID NOT NULL REFERENCES agents (id),
    script_id  UUID NOT NULL,
    stage      TEXT NOT NULL,
    status     TEXT NOT NULL,
    exit_code  BIGINT NOT NULL,
    started_at TIMESTAMP NOT NULL,
    ended_at   TIMESTAMP NOT NULL,
    PRIMARY KEY (agent_id, script_id, stage)
);
