-- name: insert_stretch
INSERT INTO stretches (run_no, first_seq, last_seq, state, group_no, batch_no, file_no, offset, bytes, rest)
VALUES (:run_no, :first_seq, :last_seq, :state, :group_no, :batch_no, :file_no, :offset, :bytes,
        :last_seq - :first_seq + 1);

-- name: insert_stretch_columns
INSERT INTO stretch_columns (stretch_no, keys, sizes) VALUES (:stretch_no, :keys, :sizes);

-- name: read_stretch_sizes
SELECT sizes FROM stretch_columns WHERE stretch_no = :stretch_no;

-- name: read_stretch_keys
SELECT keys FROM stretch_columns WHERE stretch_no = :stretch_no;

-- name: delete_stretch
DELETE FROM stretches WHERE stretch_no = :stretch_no;

-- name: delete_stretch_columns
DELETE FROM stretch_columns WHERE stretch_no = :stretch_no;

-- name: list_ready_stretches
-- The new requests of a group.
SELECT stretch_no, first_seq, last_seq, state, group_no, batch_no, file_no, offset, bytes, rest FROM stretches
WHERE run_no = :run_no AND group_no = :group_no AND state = 'ready'
ORDER BY first_seq;

-- name: list_ready_stretches_between
-- Those that have a request numbered first to last, of all groups.
SELECT stretch_no, first_seq, last_seq, state, group_no, batch_no, file_no, offset, bytes, rest FROM stretches
WHERE run_no = :run_no AND state = 'ready' AND first_seq <= :last AND last_seq >= :first
ORDER BY first_seq;

-- name: list_stretches_of_batch
-- Those that wait for an outcome.
SELECT stretch_no, first_seq, last_seq, state, group_no, batch_no, file_no, offset, bytes, rest FROM stretches
WHERE batch_no = :batch_no AND state = 'in_batch' ORDER BY first_seq;

-- name: list_stretches_between
-- Those that have a request numbered first to last, if they are in a state.
SELECT stretch_no, first_seq, last_seq, state, group_no, batch_no, file_no, offset, bytes, rest FROM stretches
WHERE run_no = :run_no AND first_seq <= :last AND last_seq >= :first AND (:state IS NULL OR state = :state)
ORDER BY first_seq;

-- name: list_own_rows
-- The requests numbered first to last that have a row of their own.
SELECT seq FROM requests WHERE run_no = :run_no AND seq BETWEEN :first AND :last;

-- name: batch_stretch
-- Bulk: batch_no, stretch_no.
UPDATE stretches SET state = 'in_batch', batch_no = ? WHERE stretch_no = ? AND state = 'ready';

-- name: shrink_stretch
-- The requests that it has in common with itself as it was end earlier.
UPDATE stretches SET last_seq = :last_seq, bytes = :bytes, rest = :last_seq - first_seq + 1
WHERE stretch_no = :stretch_no;

-- name: replace_stretch_columns
UPDATE stretch_columns SET keys = :keys, sizes = :sizes WHERE stretch_no = :stretch_no;

-- name: succeed_stretch
-- Those that are not among the rest have rows of their own.
UPDATE stretches SET state = 'succeeded', rest = :rest WHERE stretch_no = :stretch_no AND state = 'in_batch';

-- name: insert_member
-- Bulk: run_no, seq, key, state, group_no, batch_no, tokens, inputs, file_no, offset, length.
INSERT INTO requests (run_no, seq, key, state, group_no, batch_no, tokens, inputs, file_no, offset, length)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: tally_ready_stretches
SELECT coalesce(sum(rest), 0) AS n FROM stretches WHERE run_no = :run_no AND state = 'ready';

-- name: give_up_stretches
UPDATE stretches SET state = 'cancelled' WHERE run_no = :run_no AND state = 'ready';

-- name: count_stretched
SELECT state, sum(rest) AS n FROM stretches WHERE run_no = :run_no GROUP BY state;

-- name: read_first_stretch
-- With what tells how long its first line is.
SELECT s.first_seq, f.path, s.offset, c.sizes FROM stretches s
JOIN files f ON f.file_no = s.file_no JOIN stretch_columns c ON c.stretch_no = s.stretch_no
WHERE s.run_no = :run_no ORDER BY s.first_seq LIMIT 1;

-- name: delete_stretch_columns_of_run
DELETE FROM stretch_columns WHERE stretch_no IN (SELECT stretch_no FROM stretches WHERE run_no = :run_no);

-- name: delete_stretches_of_run
DELETE FROM stretches WHERE run_no = :run_no;

-- name: read_names_of_stretch
-- What a request's row is read with, as far as its stretch tells.
SELECT s.state, s.batch_no, s.file_no, g.model, b.batch_id FROM stretches s
LEFT JOIN groups g ON g.run_no = s.run_no AND g.group_no = s.group_no
LEFT JOIN batches b ON b.batch_no = s.batch_no
WHERE s.stretch_no = :stretch_no;
