-- name: read_group
SELECT group_no FROM groups WHERE run_no = :run_no AND model = :model AND endpoint = :endpoint;

-- name: insert_group
INSERT INTO groups (run_no, group_no, model, endpoint)
SELECT :run_no, count(*), :model, :endpoint FROM groups WHERE run_no = :run_no;

-- name: list_groups
SELECT group_no, model, endpoint FROM groups WHERE run_no = :run_no ORDER BY group_no;

-- name: insert_file
-- A file that was numbered before a crash keeps its number.
INSERT INTO files (run_no, path, bytes) VALUES (:run_no, :path, :bytes)
ON CONFLICT (path) DO UPDATE SET bytes = excluded.bytes;

-- name: read_file_no
SELECT file_no FROM files WHERE path = :path;

-- name: list_files
SELECT file_no, path FROM files WHERE run_no = :run_no;

-- name: insert_shard
INSERT INTO shards (run_no, shard_no, first_seq, record_count, source_path, source_row, piece_path)
VALUES (:run_no, :shard_no, :first_seq, :record_count, :source_path, :source_row, :piece_path);

-- name: list_shards
SELECT shard_no, first_seq, record_count, source_path, source_row, piece_path
FROM shards WHERE run_no = :run_no ORDER BY shard_no;

-- name: insert_ready
-- Bulk: run_no, seq, key, group_no, tokens, inputs, file_no, offset, length.
INSERT INTO requests (run_no, seq, key, state, group_no, tokens, inputs, file_no, offset, length)
VALUES (?, ?, ?, 'ready', ?, ?, ?, ?, ?, ?);

-- name: insert_failed
-- Bulk: run_no, seq, key, reason.
INSERT INTO requests (run_no, seq, key, state, reason) VALUES (?, ?, ?, 'failed', ?);

-- name: fail_ready
-- Bulk: reason, run_no, seq, the state that it has: ready, or following.
UPDATE requests SET state = 'failed', reason = ? WHERE run_no = ? AND seq = ? AND state = ?;

-- name: duplicate_keys
SELECT key, group_concat(seq) AS seqs FROM requests WHERE run_no = :run_no AND state <> 'failed'
GROUP BY key HAVING count(*) > 1 ORDER BY min(seq) LIMIT :limit;

-- name: list_new
SELECT seq, tokens, length, inputs FROM requests
WHERE run_no = :run_no AND seq > :after AND group_no = :group_no AND state = 'ready' AND batch_no IS NULL
ORDER BY seq LIMIT :limit;

-- name: next_due
SELECT min(due_at) AS due_at FROM requests
WHERE run_no = :run_no AND batch_no IS NOT NULL AND state IN ('ready', 'waiting') AND due_at IS NOT NULL;

-- name: recall_batch
-- They keep the batch's number: they are asked again, not new.
UPDATE requests SET state = 'ready'
WHERE run_no = :run_no AND seq BETWEEN :first AND :last AND batch_no = :batch_no AND state = 'in_batch';

-- name: batch_one
-- Bulk: batch_no, run_no, seq.
UPDATE requests SET state = 'in_batch', batch_no = ?, due_at = NULL
WHERE run_no = ? AND seq = ? AND state IN ('ready', 'waiting');

-- name: count_left
-- How many of the requests that a settled batch had last are open and in no batch, by state.
SELECT state, count(*) AS n FROM requests
WHERE run_no = :run_no AND seq BETWEEN :first AND :last AND batch_no = :batch_no
  AND state IN ('ready', 'waiting')
GROUP BY state;

-- name: move_left
-- They wait for what another batch has to say.
UPDATE requests SET state = 'in_batch', batch_no = :to, due_at = NULL
WHERE run_no = :run_no AND seq BETWEEN :first AND :last AND batch_no = :batch_no
  AND state IN ('ready', 'waiting');

-- name: list_members
SELECT seq, key, attempts, expiries, tokens, file_no, offset, length, spent_input, spent_output, spent_pusd
FROM requests
WHERE run_no = :run_no AND seq BETWEEN :first AND :last AND batch_no = :batch_no AND state = 'in_batch'
ORDER BY seq;

-- name: list_some_members
SELECT q.seq, q.key, q.attempts, q.expiries, q.tokens, q.file_no, q.offset, q.length, q.spent_input, q.spent_output,
       q.spent_pusd
FROM json_each(:seqs) wanted
JOIN requests q ON q.run_no = :run_no AND q.seq = wanted.value
WHERE q.batch_no = :batch_no AND q.state = 'in_batch'
ORDER BY q.seq;

-- name: list_asked
SELECT seq, key, tokens FROM requests
WHERE run_no = :run_no AND seq BETWEEN :first AND :last AND batch_no = :batch_no AND state = 'in_batch'
ORDER BY seq;

-- name: list_asked_before
SELECT seq, attempts, spent_input, spent_output, spent_pusd FROM requests
WHERE run_no = :run_no AND seq BETWEEN :first AND :last AND batch_no = :batch_no AND state = 'in_batch'
  AND (attempts > 0 OR spent_input > 0 OR spent_output > 0 OR spent_pusd IS NOT 0);

-- name: count_members
SELECT count(*) AS n FROM requests
WHERE run_no = :run_no AND seq BETWEEN :first AND :last AND batch_no = :batch_no AND state = 'in_batch';

-- name: list_ranges
-- Where a batch's lines are, by file: the range they span and how much of it they are.
SELECT file_no, min(offset) AS first, max(offset + length) AS beyond, sum(length) AS bytes,
       min(seq) AS first_seq, max(seq) AS last_seq
FROM requests
WHERE run_no = :run_no AND seq BETWEEN :first AND :last AND batch_no = :batch_no AND state = 'in_batch'
GROUP BY file_no ORDER BY first_seq;

-- name: list_numbered_lines
SELECT seq, file_no, offset, length FROM requests
WHERE run_no = :run_no AND seq BETWEEN :first AND :last AND batch_no = :batch_no AND state = 'in_batch'
ORDER BY seq;

-- name: succeed_rest
-- Of a batch, after those that were set back: where their answers are is in `answers`.
UPDATE requests SET state = 'succeeded', attempts = attempts + 1
WHERE run_no = :run_no AND seq BETWEEN :first AND :last AND batch_no = :batch_no AND state = 'in_batch';

-- name: insert_answers
INSERT INTO answers (batch_no, run_no, packed) VALUES (:batch_no, :run_no, :packed);

-- name: read_answers
SELECT packed FROM answers WHERE batch_no = :batch_no;

-- name: set_back_one
-- Bulk: state, reason, due_at, attempts, expiries, answer x3, input, output, cost, run_no, seq, batch_no.
UPDATE requests
SET state = ?, reason = ?, due_at = ?, attempts = attempts + ?, expiries = expiries + ?,
    answer_file_no = coalesce(?, answer_file_no), answer_offset = coalesce(?, answer_offset),
    answer_length = coalesce(?, answer_length),
    spent_input = spent_input + ?, spent_output = spent_output + ?, spent_pusd = spent_pusd + ?
WHERE run_no = ? AND seq = ? AND batch_no = ? AND state = 'in_batch';

-- name: replace_line
-- Bulk: file_no, offset, length, group_no, tokens, run_no, seq.
UPDATE requests SET file_no = ?, offset = ?, length = ?, group_no = ?, tokens = ? WHERE run_no = ? AND seq = ?;

-- name: insert_attempt
-- Bulk: run_no, seq, batch_no, outcome, reason, message, finish, answer x3, input, output, cost, at.
INSERT INTO attempts (run_no, seq, number, file_no, offset, length, batch_no, outcome, reason, message, finish,
                      answer_file_no, answer_offset, answer_length, input_tokens, output_tokens, cost_pusd, ended_at)
SELECT ?1, ?2, 1 + (SELECT count(*) FROM attempts WHERE run_no = ?1 AND seq = ?2), file_no, offset, length,
       ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14
FROM requests WHERE run_no = ?1 AND seq = ?2;

-- name: revalidate_one
-- Bulk: run_no, seq. The answer that failed is good after all; it was paid for then.
UPDATE requests SET state = 'succeeded', reason = NULL WHERE run_no = ? AND seq = ? AND state = 'failed';

-- name: add_succeeded
UPDATE batches SET succeeded = succeeded + :n WHERE batch_no = :batch_no;

-- name: tally_failed
SELECT reason, count(*) AS n FROM requests
WHERE run_no = :run_no AND state = 'failed' AND file_no IS NOT NULL
  AND (:reasons IS NULL OR instr(:reasons, '|' || reason || '|') > 0)
GROUP BY reason;

-- name: retry_failed
UPDATE requests
SET state = 'ready', reason = NULL, attempts = 0, expiries = 0
WHERE run_no = :run_no AND state = 'failed' AND file_no IS NOT NULL
  AND (:reasons IS NULL OR instr(:reasons, '|' || reason || '|') > 0);

-- name: forget_planned_seq
-- A record that failed before it was ever in a batch is a new one again.
UPDATE runs SET planned_seq = coalesce(
  (SELECT min(seq) - 1 FROM (
     SELECT min(seq) AS seq FROM requests WHERE run_no = :run_no AND state = 'ready' AND batch_no IS NULL
     UNION ALL SELECT min(first_seq) FROM stretches WHERE run_no = :run_no AND state = 'ready')),
  planned_seq)
WHERE run_no = :run_no;

-- name: tally_unsent
SELECT state, count(*) AS n FROM requests
WHERE run_no = :run_no AND state IN ('ready', 'waiting') GROUP BY state;

-- name: give_up_unsent
UPDATE requests SET state = 'cancelled', due_at = NULL WHERE run_no = :run_no AND state IN ('ready', 'waiting');

-- name: ensure_tally
INSERT INTO tallies (run_no, kind, name, n) VALUES (:run_no, :kind, :name, 0) ON CONFLICT DO NOTHING;

-- name: add_tally
UPDATE tallies SET n = n + :n WHERE run_no = :run_no AND kind = :kind AND name = :name;

-- name: list_tallies
SELECT kind, name, n FROM tallies WHERE run_no = :run_no;

-- name: count_successes
SELECT batch_no, count(*) AS n FROM requests
WHERE run_no = :run_no AND seq BETWEEN :first AND :last AND state = 'succeeded' GROUP BY batch_no;

-- name: list_successes
SELECT seq, batch_no FROM requests
WHERE run_no = :run_no AND seq BETWEEN :first AND :last AND state = 'succeeded' ORDER BY seq;

-- name: list_failures
SELECT q.seq, q.key, q.reason, q.attempts, q.answer_file_no, q.answer_offset, q.answer_length,
       q.batch_no, q.spent_input, q.spent_output, q.spent_pusd
FROM requests q WHERE q.run_no = :run_no AND q.state = 'failed' AND q.seq > :after
ORDER BY q.seq LIMIT :limit;

-- name: read_request
SELECT q.*, g.model, b.batch_id FROM requests q
LEFT JOIN groups g ON g.run_no = q.run_no AND g.group_no = q.group_no
LEFT JOIN batches b ON b.batch_no = q.batch_no
WHERE q.run_no = :run_no AND q.seq = :seq;

-- name: list_attempts
SELECT a.*, b.batch_id, b.model FROM attempts a LEFT JOIN batches b ON b.batch_no = a.batch_no
WHERE a.run_no = :run_no AND a.seq = :seq ORDER BY a.number;

-- name: list_attempts_of_failed
-- Of the failed requests numbered first to last.
SELECT a.*, b.batch_id, b.model FROM requests q
JOIN attempts a ON a.run_no = q.run_no AND a.seq = q.seq
LEFT JOIN batches b ON b.batch_no = a.batch_no
WHERE q.run_no = :run_no AND q.state = 'failed' AND q.seq BETWEEN :first AND :last
ORDER BY q.seq, a.number;

-- name: delete_requests_of_run
DELETE FROM requests WHERE run_no = :run_no;

-- name: delete_attempts_of_run
DELETE FROM attempts WHERE run_no = :run_no;

-- name: delete_shards_of_run
DELETE FROM shards WHERE run_no = :run_no;

-- name: delete_files_of_run
DELETE FROM files WHERE run_no = :run_no;

-- name: delete_groups_of_run
DELETE FROM groups WHERE run_no = :run_no;

-- name: delete_tallies_of_run
DELETE FROM tallies WHERE run_no = :run_no;

-- name: count_states
SELECT state, count(*) AS n FROM requests WHERE run_no = :run_no GROUP BY state;
