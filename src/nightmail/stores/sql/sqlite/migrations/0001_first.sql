-- Times are UTC text of one width (2026-11-21T08:00:00.000000Z), so that they sort and read well.
-- Money is whole pico-USD (1e-12); NULL where a price is unknown.

CREATE TABLE runs (
  run_no          INTEGER PRIMARY KEY,
  run_id          TEXT NOT NULL UNIQUE,
  identity        TEXT NOT NULL,
  state           TEXT NOT NULL CHECK (state IN ('open', 'draining', 'paused', 'finished', 'cancelled')),
  pause_reason    TEXT CHECK (pause_reason IN ('user', 'budget', 'billing', 'credentials')),
  pause_message   TEXT,
  wish            TEXT CHECK (wish IN ('cancel')),
  spec            TEXT NOT NULL CHECK (json_valid(spec)),
  fingerprint     TEXT NOT NULL CHECK (json_valid(fingerprint)),
  sealed          INTEGER NOT NULL DEFAULT 0 CHECK (sealed IN (0, 1)),
  position        TEXT,
  key_name        TEXT,
  key_kind        TEXT CHECK (key_kind IN ('row', 'integer', 'text')),
  record_count    INTEGER NOT NULL DEFAULT 0,
  planned_seq     INTEGER NOT NULL DEFAULT 0,
  counted_tokens  INTEGER NOT NULL DEFAULT 0,
  billed_tokens   INTEGER NOT NULL DEFAULT 0,
  hurried_at      TEXT,
  created_at      TEXT NOT NULL,
  finished_at     TEXT,
  delivered_at    TEXT,
  lease_token     TEXT,
  leased_until    TEXT,
  CHECK ((state IN ('finished', 'cancelled')) = (finished_at IS NOT NULL)),
  CHECK ((state = 'paused') = (pause_reason IS NOT NULL)),
  CHECK ((lease_token IS NULL) = (leased_until IS NULL))
) STRICT;

CREATE INDEX runs_by_identity ON runs (identity);

CREATE TABLE groups (
  run_no    INTEGER NOT NULL REFERENCES runs,
  group_no  INTEGER NOT NULL,
  model     TEXT NOT NULL,
  endpoint  TEXT NOT NULL,
  PRIMARY KEY (run_no, group_no),
  UNIQUE (run_no, model, endpoint)
) STRICT, WITHOUT ROWID;

-- Files of the spool; addresses in other tables are (file_no, offset, length).
CREATE TABLE files (
  file_no  INTEGER PRIMARY KEY,
  run_no   INTEGER NOT NULL REFERENCES runs,
  path     TEXT NOT NULL UNIQUE,
  bytes    INTEGER NOT NULL
) STRICT;

-- One row per piece of the source that has become requests.
CREATE TABLE shards (
  run_no        INTEGER NOT NULL REFERENCES runs,
  shard_no      INTEGER NOT NULL,
  first_seq     INTEGER NOT NULL,
  record_count  INTEGER NOT NULL,
  source_path   TEXT NOT NULL,
  source_row    INTEGER NOT NULL,
  piece_path    TEXT,
  PRIMARY KEY (run_no, shard_no)
) STRICT, WITHOUT ROWID;

-- One compact row per request of which something is to be said alone; the others are in `stretches`. Payloads
-- are in the spool. `key` is an integer or a text. The check of the state is no IN: for a list of texts SQLite
-- builds an index anew in every statement, which made each insert and update of a row cost twice as much.
CREATE TABLE requests (
  run_no         INTEGER NOT NULL,
  seq            INTEGER NOT NULL,
  key            ANY NOT NULL,
  state          TEXT NOT NULL
                 CHECK (state = 'ready' OR state = 'in_batch' OR state = 'succeeded' OR state = 'waiting'
                        OR state = 'failed' OR state = 'cancelled' OR state = 'following'),
  group_no       INTEGER,
  attempts       INTEGER NOT NULL DEFAULT 0,
  expiries       INTEGER NOT NULL DEFAULT 0,
  batch_no       INTEGER,
  tokens         INTEGER NOT NULL DEFAULT 0,
  inputs         INTEGER NOT NULL DEFAULT 1,
  file_no        INTEGER,
  offset         INTEGER,
  length         INTEGER,
  answer_file_no INTEGER,
  answer_offset  INTEGER,
  answer_length  INTEGER,
  reason         TEXT,
  due_at         TEXT,
  spent_input    INTEGER NOT NULL DEFAULT 0,
  spent_output   INTEGER NOT NULL DEFAULT 0,
  spent_pusd     INTEGER DEFAULT 0,
  PRIMARY KEY (run_no, seq),
  CHECK (state <> 'in_batch' OR batch_no IS NOT NULL),
  CHECK ((state = 'failed') <= (reason IS NOT NULL)),
  CHECK ((state = 'waiting') = (due_at IS NOT NULL))
) STRICT, WITHOUT ROWID;

-- Only those that come back for another attempt: the plain path never touches it.
CREATE INDEX requests_again ON requests (run_no, due_at)
  WHERE batch_no IS NOT NULL AND state IN ('ready', 'waiting');

-- With the reason, so that examples of one are found among a million failures; and with the state, without
-- which SQLite would read each row for it (five times as long).
CREATE INDEX requests_failed ON requests (run_no, seq, reason, state) WHERE state = 'failed';

-- The accepted answers of a settled batch: where they are and what they took; see core/answer_index.py.
CREATE TABLE answers (
  batch_no  INTEGER PRIMARY KEY REFERENCES batches,
  run_no    INTEGER NOT NULL REFERENCES runs,
  packed    BLOB NOT NULL
) STRICT;

-- Attempts that did not succeed; the one that did is in `answers`. (file_no, offset, length) is the line that
-- was sent: the request's own may be another by now.
CREATE TABLE attempts (
  run_no         INTEGER NOT NULL,
  seq            INTEGER NOT NULL,
  number         INTEGER NOT NULL,
  batch_no       INTEGER,
  outcome        TEXT NOT NULL,
  reason         TEXT NOT NULL,
  message        TEXT NOT NULL,
  finish         TEXT,
  file_no        INTEGER,
  offset         INTEGER,
  length         INTEGER,
  answer_file_no INTEGER,
  answer_offset  INTEGER,
  answer_length  INTEGER,
  input_tokens   INTEGER NOT NULL DEFAULT 0,
  output_tokens  INTEGER NOT NULL DEFAULT 0,
  cost_pusd      INTEGER,
  ended_at       TEXT NOT NULL,
  PRIMARY KEY (run_no, seq, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE batches (
  batch_no          INTEGER PRIMARY KEY,
  run_no            INTEGER NOT NULL REFERENCES runs,
  batch_id          TEXT NOT NULL UNIQUE,
  state             TEXT NOT NULL CHECK (state IN ('planned', 'submitting', 'doubtful', 'in_progress',
                                                   'ended', 'settled', 'finalised', 'abandoned')),
  mode              TEXT NOT NULL CHECK (mode IN ('batch', 'sync', 'flex')),
  account           TEXT NOT NULL,
  model             TEXT NOT NULL,
  endpoint          TEXT NOT NULL,
  requests          INTEGER NOT NULL CHECK (requests > 0),
  tokens            INTEGER NOT NULL,
  bytes             INTEGER NOT NULL,
  inputs            INTEGER NOT NULL,
  first_seq         INTEGER NOT NULL,
  last_seq          INTEGER NOT NULL,
  extra_of          INTEGER REFERENCES batches,
  attempt           INTEGER NOT NULL DEFAULT 0,
  due_at            TEXT,
  seek_at           TEXT,
  polls             INTEGER NOT NULL DEFAULT 0,
  input_file_id     TEXT,
  provider_batch_id TEXT,
  status            TEXT,
  phase             TEXT,
  total             INTEGER,
  completed         INTEGER,
  failed            INTEGER,
  output_file_id    TEXT,
  error_file_id     TEXT,
  error_code        TEXT,
  error_message     TEXT,
  error_line        INTEGER,
  error_limit       INTEGER,
  billed_input      INTEGER,
  billed_output     INTEGER,
  billed_cached     INTEGER,
  reserved_tokens   INTEGER,
  reserved_pusd     INTEGER,
  answers           INTEGER NOT NULL DEFAULT 0,
  created_at        TEXT NOT NULL,
  submitted_at      TEXT,
  ended_at          TEXT,
  ingested_at       TEXT,
  settled_at        TEXT,
  finalised_at      TEXT,
  succeeded         INTEGER NOT NULL DEFAULT 0,
  input_tokens      INTEGER NOT NULL DEFAULT 0,
  output_tokens     INTEGER NOT NULL DEFAULT 0,
  cached_tokens     INTEGER NOT NULL DEFAULT 0,
  reasoning_tokens  INTEGER NOT NULL DEFAULT 0,
  cost_pusd         INTEGER,
  sync_cost_pusd    INTEGER,
  wasted_pusd       INTEGER,
  CHECK (succeeded <= requests),
  CHECK (state NOT IN ('ended', 'settled', 'finalised') OR ended_at IS NOT NULL),
  CHECK ((state IN ('settled', 'finalised')) <= (settled_at IS NOT NULL)),
  CHECK ((state = 'finalised') = (finalised_at IS NOT NULL)),
  CHECK (seek_at IS NULL OR state IN ('in_progress', 'ended', 'settled'))
) STRICT;

CREATE INDEX batches_by_run ON batches (run_no, state);
CREATE INDEX batches_in_flight ON batches (account, model)
  WHERE state IN ('submitting', 'doubtful', 'in_progress');
CREATE UNIQUE INDEX batches_at_provider ON batches (account, provider_batch_id)
  WHERE provider_batch_id IS NOT NULL;

-- Batches that did not come to a good end, by number: few among many.
CREATE INDEX batches_in_trouble ON batches (batch_no)
  WHERE error_message IS NOT NULL OR phase IN ('failed', 'expired');

-- What looks at a batch have shown, each time that it was something new.
CREATE TABLE looks (
  batch_no   INTEGER NOT NULL REFERENCES batches ON DELETE CASCADE,
  at         TEXT NOT NULL,
  status     TEXT NOT NULL,
  total      INTEGER,
  completed  INTEGER,
  failed     INTEGER,
  PRIMARY KEY (batch_no, at)
) STRICT, WITHOUT ROWID;

-- The provider's own object of a batch, as it was seen last; cut off where it is very long.
CREATE TABLE provider_objects (
  batch_no  INTEGER PRIMARY KEY REFERENCES batches ON DELETE CASCADE,
  seen_at   TEXT NOT NULL,
  object    TEXT NOT NULL
) STRICT;

-- What the provider's refusals have taught about a model's queue. What is enqueued is not here: it is the
-- sum over the batches in flight.
CREATE TABLE quotas (
  account        TEXT NOT NULL,
  model          TEXT NOT NULL,
  limit_tokens   INTEGER,
  learned_at     TEXT,
  refusals       INTEGER NOT NULL DEFAULT 0,
  blocked_until  TEXT,
  PRIMARY KEY (account, model),
  CHECK ((limit_tokens IS NULL) = (learned_at IS NULL))
) STRICT, WITHOUT ROWID;

-- Runs that asked for room in a model's queue and did not get it: who waits longest, and who still does.
CREATE TABLE waits (
  account  TEXT NOT NULL,
  model    TEXT NOT NULL,
  run_no   INTEGER NOT NULL REFERENCES runs,
  since    TEXT NOT NULL,
  asked_at TEXT NOT NULL,
  PRIMARY KEY (account, model, run_no)
) STRICT, WITHOUT ROWID;

-- How many requests are where: kept in the transactions that move them, so that a status of ten
-- million records is a few rows.
CREATE TABLE tallies (
  run_no  INTEGER NOT NULL REFERENCES runs,
  kind    TEXT NOT NULL CHECK (kind IN ('state', 'reason', 'again')),
  name    TEXT NOT NULL,
  n       INTEGER NOT NULL CHECK (n >= 0),
  PRIMARY KEY (run_no, kind, name)
) STRICT, WITHOUT ROWID;

-- What happened. A number is never used again: who reads on from a number misses nothing.
CREATE TABLE events (
  event_no  INTEGER PRIMARY KEY AUTOINCREMENT,
  run_no    INTEGER NOT NULL REFERENCES runs,
  batch_no  INTEGER,
  at        TEXT NOT NULL,
  name      TEXT NOT NULL,
  detail    TEXT NOT NULL CHECK (json_valid(detail))
) STRICT;

CREATE INDEX events_by_run ON events (run_no, event_no);
CREATE INDEX events_by_batch ON events (batch_no, event_no) WHERE batch_no IS NOT NULL;
