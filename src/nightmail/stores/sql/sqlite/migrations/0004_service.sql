-- What a service on the home needs: whose a run is, and who may ask.

ALTER TABLE runs ADD COLUMN tenant TEXT GENERATED ALWAYS AS (json_extract(spec, '$.tenant')) VIRTUAL;

CREATE INDEX runs_by_tenant ON runs (tenant, run_no);

-- Looked at every two seconds, however many runs there have been.
CREATE INDEX runs_unfinished ON runs (run_no)
WHERE finished_at IS NULL OR (state = 'finished' AND delivered_at IS NULL);

-- Who shares the service. `budget_pusd` is for a UTC month, `share` a part of each model's queue.
CREATE TABLE tenants (
  name        TEXT PRIMARY KEY,
  budget_pusd INTEGER CHECK (budget_pusd > 0),
  share       REAL CHECK (share > 0 AND share <= 1),
  created_at  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Keys of the service, each known by the digest of its secret; the secret is nowhere.
CREATE TABLE api_keys (
  key_id      TEXT PRIMARY KEY,
  tenant      TEXT NOT NULL REFERENCES tenants,
  scope       TEXT NOT NULL CHECK (scope IN ('read', 'submit', 'admin')),
  digest      TEXT NOT NULL CHECK (length(digest) = 64),
  created_at  TEXT NOT NULL,
  revoked_at  TEXT
) STRICT, WITHOUT ROWID;

-- Who has signed in to the pages, each known by the digest of what their browser holds. A session is good as
-- long as its key is.
CREATE TABLE sessions (
  digest      TEXT PRIMARY KEY CHECK (length(digest) = 64),
  key_id      TEXT NOT NULL REFERENCES api_keys,
  created_at  TEXT NOT NULL,
  expires_at  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_end ON sessions (expires_at);

-- Queues into which programs put records over time, and what is to be done with what comes out.
-- What waits is counted in the transactions that change it.
CREATE TABLE intakes (
  intake_no      INTEGER PRIMARY KEY,
  intake_id      TEXT NOT NULL UNIQUE,
  tenant         TEXT,
  spec           TEXT NOT NULL CHECK (json_valid(spec)),
  closed         INTEGER NOT NULL DEFAULT 0 CHECK (closed IN (0, 1)),
  last_seq       INTEGER NOT NULL DEFAULT 0,
  waiting        INTEGER NOT NULL DEFAULT 0 CHECK (waiting >= 0),
  waiting_tokens INTEGER NOT NULL DEFAULT 0 CHECK (waiting_tokens >= 0),
  created_at     TEXT NOT NULL
) STRICT;

-- Files of the spool that hold what was handed in. Only the process that it names appends to one.
CREATE TABLE segments (
  segment_no  INTEGER PRIMARY KEY,
  path        TEXT NOT NULL UNIQUE,
  holder      TEXT NOT NULL
) STRICT;

-- A number of records that leave an intake together, as one run. Its file is made and its run begun by
-- the process that it names, until that time.
CREATE TABLE cuts (
  cut_no      INTEGER PRIMARY KEY,
  intake_no   INTEGER NOT NULL REFERENCES intakes,
  records     INTEGER NOT NULL CHECK (records > 0),
  run_id      TEXT,
  holder      TEXT NOT NULL,
  held_until  TEXT NOT NULL,
  created_at  TEXT NOT NULL
) STRICT;

CREATE INDEX cuts_unfinished ON cuts (cut_no) WHERE run_id IS NULL;

-- One compact row per record that was handed in; what it says is in a segment. `tenant` is '' where there
-- are no keys; `line` is its number in the run that it left in.
CREATE TABLE intake_records (
  intake_no    INTEGER NOT NULL REFERENCES intakes,
  seq          INTEGER NOT NULL,
  tenant       TEXT NOT NULL,
  key          TEXT NOT NULL,
  digest       BLOB NOT NULL CHECK (length(digest) = 16),
  priority     INTEGER NOT NULL,
  tokens       INTEGER NOT NULL,
  segment_no   INTEGER NOT NULL REFERENCES segments,
  offset       INTEGER NOT NULL,
  length       INTEGER NOT NULL,
  received_at  TEXT NOT NULL,
  cut_no       INTEGER REFERENCES cuts,
  line         INTEGER,
  PRIMARY KEY (intake_no, seq),
  UNIQUE (intake_no, tenant, key),
  CHECK ((cut_no IS NULL) = (line IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX intake_waiting ON intake_records (intake_no, priority DESC, seq) WHERE cut_no IS NULL;
CREATE INDEX intake_oldest ON intake_records (intake_no, received_at) WHERE cut_no IS NULL;
CREATE INDEX intake_segments ON intake_records (segment_no) WHERE cut_no IS NULL;
CREATE INDEX intake_cut ON intake_records (cut_no, line) WHERE cut_no IS NOT NULL;

-- What was sent, came back and was settled lately, whatever the age of the home.
CREATE INDEX batches_by_submission ON batches (submitted_at) WHERE submitted_at IS NOT NULL;
CREATE INDEX batches_by_end ON batches (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX batches_by_settlement ON batches (settled_at) WHERE settled_at IS NOT NULL;
