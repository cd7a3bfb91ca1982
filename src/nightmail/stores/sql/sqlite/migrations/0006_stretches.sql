-- Consecutive requests of which the same is true, kept as one: of most requests there is never more to say
-- than of their neighbours.

-- The requests `first_seq` to `last_seq`, whose lines follow one another in one file. Each has no row in
-- `requests`, but for those of a stretch that has succeeded which did not do so with the others: `rest` is how
-- many have none. One that is cancelled was never in a batch.
CREATE TABLE stretches (
  stretch_no INTEGER PRIMARY KEY,
  run_no     INTEGER NOT NULL REFERENCES runs,
  first_seq  INTEGER NOT NULL,
  last_seq   INTEGER NOT NULL,
  state      TEXT NOT NULL CHECK (state IN ('ready', 'in_batch', 'succeeded', 'cancelled')),
  group_no   INTEGER NOT NULL,
  batch_no   INTEGER REFERENCES batches,
  file_no    INTEGER NOT NULL,
  offset     INTEGER NOT NULL,
  bytes      INTEGER NOT NULL,
  rest       INTEGER NOT NULL,
  CHECK ((batch_no IS NOT NULL) = (state IN ('in_batch', 'succeeded'))),
  CHECK (rest BETWEEN 1 AND last_seq - first_seq + 1),
  CHECK (rest = last_seq - first_seq + 1 OR state = 'succeeded')
) STRICT;

CREATE UNIQUE INDEX stretches_by_run ON stretches (run_no, first_seq);
CREATE INDEX stretches_ready ON stretches (run_no, group_no, first_seq) WHERE state = 'ready';
CREATE INDEX stretches_by_batch ON stretches (batch_no) WHERE batch_no IS NOT NULL;

-- What differs between a stretch's requests: their keys, and their tokens, lengths and inputs, packed. Apart,
-- because a stretch moves and these do not.
CREATE TABLE stretch_columns (
  stretch_no INTEGER PRIMARY KEY REFERENCES stretches,
  keys       BLOB NOT NULL,
  sizes      BLOB NOT NULL
) STRICT;
