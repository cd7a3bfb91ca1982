ALTER TABLE batches ADD COLUMN progressed_at TEXT;

CREATE INDEX events_by_name ON events (name);

-- What somebody is to be told. The id is made of what happened, so that it is told once.
CREATE TABLE notices (
  notice_no  INTEGER PRIMARY KEY AUTOINCREMENT,
  notice_id  TEXT NOT NULL UNIQUE,
  kind       TEXT NOT NULL,
  run_id     TEXT,
  at         TEXT NOT NULL,
  body       TEXT NOT NULL CHECK (json_valid(body))
) STRICT;

-- The outbox: who is to be told what. A channel is a name in the settings; its address is nowhere here.
CREATE TABLE deliveries (
  notice_no  INTEGER NOT NULL REFERENCES notices,
  channel    TEXT NOT NULL,
  run_id     TEXT,
  state      TEXT NOT NULL CHECK (state IN ('pending', 'sent', 'given_up')),
  tries      INTEGER NOT NULL DEFAULT 0,
  due_at     TEXT,
  error      TEXT,
  ended_at   TEXT,
  PRIMARY KEY (notice_no, channel),
  CHECK ((state = 'pending') = (due_at IS NOT NULL)),
  CHECK ((state = 'pending') = (ended_at IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX deliveries_pending ON deliveries (channel, run_id, notice_no) WHERE state = 'pending';

-- Up to which event notices have been made, and the home's name in their ids: one row, once somebody has begun.
CREATE TABLE noticed (
  single    INTEGER PRIMARY KEY CHECK (single = 1),
  event_no  INTEGER NOT NULL,
  home      TEXT NOT NULL
) STRICT;

-- Webhooks that have come in, so that one that comes again does nothing.
CREATE TABLE webhooks (
  webhook_id         TEXT PRIMARY KEY,
  type               TEXT NOT NULL,
  provider_batch_id  TEXT,
  arrived_at         TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX webhooks_by_time ON webhooks (arrived_at);
CREATE INDEX batches_by_provider_id ON batches (provider_batch_id) WHERE provider_batch_id IS NOT NULL;
