-- Recurring work. `since`: occurrences are counted from after it. Numbers are never used again, so that
-- what a run remembers of its schedule can belong to no other.
CREATE TABLE schedules (
  schedule_no  INTEGER PRIMARY KEY AUTOINCREMENT,
  name         TEXT NOT NULL UNIQUE,
  spec         TEXT NOT NULL CHECK (json_valid(spec)),
  paused       INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1)),
  since        TEXT NOT NULL,
  created_at   TEXT NOT NULL
) STRICT;

-- One row for each time that a schedule has begun something: writing it is the claim.
CREATE TABLE occurrences (
  schedule_no  INTEGER NOT NULL REFERENCES schedules,
  due_at       TEXT NOT NULL,
  output       TEXT NOT NULL,
  run_id       TEXT,
  message      TEXT,
  abandoned    INTEGER NOT NULL DEFAULT 0 CHECK (abandoned IN (0, 1)),
  PRIMARY KEY (schedule_no, due_at),
  UNIQUE (schedule_no, output),
  CHECK (abandoned = 0 OR run_id IS NULL)
) STRICT, WITHOUT ROWID;

-- Files of watched folders, as they were when an occurrence took them.
CREATE TABLE taken_files (
  schedule_no  INTEGER NOT NULL REFERENCES schedules,
  path         TEXT NOT NULL,
  size         INTEGER NOT NULL,
  mtime_ns     INTEGER NOT NULL,
  due_at       TEXT NOT NULL,
  PRIMARY KEY (schedule_no, path, size, mtime_ns)
) STRICT, WITHOUT ROWID;

CREATE INDEX taken_files_by_occurrence ON taken_files (schedule_no, due_at);

-- What the requests of a scheduled run ask, as a 64-bit digest: kept until it is known which were delivered.
CREATE TABLE contents (
  run_no  INTEGER NOT NULL,
  seq     INTEGER NOT NULL,
  digest  INTEGER NOT NULL,
  PRIMARY KEY (run_no, seq)
) STRICT, WITHOUT ROWID;

-- By schedule and key: the digest of the request whose answer was delivered last, and by which run.
CREATE TABLE delivered (
  schedule_no  INTEGER NOT NULL REFERENCES schedules,
  key          ANY NOT NULL,
  digest       INTEGER NOT NULL,
  run_no       INTEGER NOT NULL,
  PRIMARY KEY (schedule_no, key)
) STRICT, WITHOUT ROWID;

-- Records that were read and left out, because an earlier run of the schedule has delivered them unchanged.
ALTER TABLE runs ADD COLUMN unchanged_count INTEGER NOT NULL DEFAULT 0;
