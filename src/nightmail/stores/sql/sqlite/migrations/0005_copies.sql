-- Requests that are the same as an earlier one of their run, and are not sent.

-- `of_seq` is the first record with the request. `file_no` is the part that has the copy's output, once its
-- first's answer was good for it too. One that is sent by itself after all has no row any more.
CREATE TABLE copies (
  run_no   INTEGER NOT NULL REFERENCES runs,
  seq      INTEGER NOT NULL,
  of_seq   INTEGER NOT NULL,
  file_no  INTEGER REFERENCES files,
  PRIMARY KEY (run_no, seq),
  CHECK (of_seq < seq)
) STRICT, WITHOUT ROWID;

-- How many copies a run has, and what those that are answered would have cost: NULL if that is unknown. A run
-- without copies has no row.
CREATE TABLE copy_counts (
  run_no     INTEGER PRIMARY KEY REFERENCES runs,
  copies     INTEGER NOT NULL DEFAULT 0 CHECK (copies >= 0),
  saved_pusd INTEGER DEFAULT 0
) STRICT;

-- The digests of a shard's requests, in their order, 8 bytes each, and the lengths of its records' lines, 4 bytes
-- each, 0 for one without a request: until the source is read to its end.
CREATE TABLE digests (
  run_no    INTEGER NOT NULL REFERENCES runs,
  shard_no  INTEGER NOT NULL,
  digests   BLOB NOT NULL CHECK (length(digests) % 8 = 0),
  lengths   BLOB NOT NULL CHECK (length(lengths) % 4 = 0),
  PRIMARY KEY (run_no, shard_no)
) STRICT;
