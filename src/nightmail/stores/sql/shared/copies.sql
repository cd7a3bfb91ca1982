-- name: insert_digests
INSERT INTO digests (run_no, shard_no, digests, lengths) VALUES (:run_no, :shard_no, :digests, :lengths);

-- name: read_digests
SELECT digests, lengths FROM digests WHERE run_no = :run_no AND shard_no = :shard_no;

-- name: delete_digests_of_run
DELETE FROM digests WHERE run_no = :run_no;

-- name: insert_copy
-- Bulk: run_no, seq, of_seq.
INSERT INTO copies (run_no, seq, of_seq) VALUES (?, ?, ?);

-- name: follow_one
-- Bulk: run_no, seq.
UPDATE requests SET state = 'following' WHERE run_no = ? AND seq = ? AND state = 'ready';

-- name: follow_again
-- Copies that failed with their first and are to be asked again: so is their first, or it has an answer.
UPDATE requests SET state = 'following'
WHERE run_no = :run_no AND state = 'ready'
  AND seq IN (SELECT c.seq FROM copies c WHERE c.run_no = :run_no);

-- name: count_copies
INSERT INTO copy_counts (run_no, copies) VALUES (:run_no, :n)
ON CONFLICT (run_no) DO UPDATE SET copies = copies + excluded.copies;

-- name: uncount_copies
UPDATE copy_counts SET copies = copies - :n WHERE run_no = :run_no;

-- name: add_saved
UPDATE copy_counts SET saved_pusd = saved_pusd + :saved WHERE run_no = :run_no;

-- name: save_one
-- Bulk: seq, run_no. What its first has cost, whose answer was not accepted then.
UPDATE copy_counts SET saved_pusd = saved_pusd + (
  SELECT f.spent_pusd FROM copies c JOIN requests f ON f.run_no = c.run_no AND f.seq = c.of_seq
  WHERE c.run_no = copy_counts.run_no AND c.seq = ?1)
WHERE run_no = ?2;

-- name: read_copy_counts
SELECT copies, saved_pusd FROM copy_counts WHERE run_no = :run_no;

-- name: read_first
SELECT of_seq FROM copies WHERE run_no = :run_no AND seq = :seq;

-- name: list_due_copies
-- Copies that still follow, of firsts that have their final state. Where an accepted answer is and what it
-- took is in `answers`, unless it was judged anew. A first without a row is in the stretch before the next.
SELECT c.seq, q.key, c.of_seq, f.key, coalesce(f.state, s.state), f.reason, coalesce(f.batch_no, s.batch_no),
       coalesce(f.file_no, s.file_no), f.answer_file_no, f.answer_offset, f.answer_length,
       CASE WHEN f.seq IS NULL THEN 0 ELSE f.spent_pusd END
FROM copies c
JOIN requests q ON q.run_no = c.run_no AND q.seq = c.seq AND q.state = 'following'
LEFT JOIN requests f ON f.run_no = c.run_no AND f.seq = c.of_seq
LEFT JOIN stretches s ON f.seq IS NULL AND s.run_no = c.run_no
  AND s.first_seq = (SELECT max(b.first_seq) FROM stretches b
                     WHERE b.run_no = c.run_no AND b.first_seq <= c.of_seq)
WHERE c.run_no = :run_no AND c.seq > :after
  AND coalesce(f.state, s.state) NOT IN ('ready', 'in_batch', 'waiting', 'following')
ORDER BY c.seq LIMIT :limit;

-- name: answer_copy
-- Bulk: batch_no, answer x3, run_no, seq.
UPDATE requests SET state = 'succeeded', batch_no = ?, answer_file_no = ?, answer_offset = ?, answer_length = ?
WHERE run_no = ? AND seq = ? AND state = 'following';

-- name: fail_copy
-- Bulk: reason, batch_no, answer x3, run_no, seq.
UPDATE requests SET state = 'failed', reason = ?, batch_no = ?, answer_file_no = ?, answer_offset = ?,
                    answer_length = ?
WHERE run_no = ? AND seq = ? AND state = 'following';

-- name: release_copy
-- Bulk: run_no, seq. It is a new request: it has been in no batch, whatever its first has been in.
UPDATE requests SET state = 'ready', batch_no = NULL WHERE run_no = ? AND seq = ? AND state = 'following';

-- name: plan_from
UPDATE runs SET planned_seq = min(planned_seq, :seq - 1) WHERE run_no = :run_no;

-- name: give_up_copy
-- Bulk: run_no, seq.
UPDATE requests SET state = 'cancelled' WHERE run_no = ? AND seq = ? AND state = 'following';

-- name: name_part
-- Bulk: file_no, run_no, seq.
UPDATE copies SET file_no = ? WHERE run_no = ? AND seq = ?;

-- name: forget_copy
-- Bulk: run_no, seq.
DELETE FROM copies WHERE run_no = ? AND seq = ?;

-- name: list_copies
SELECT seq FROM copies WHERE run_no = :run_no AND seq BETWEEN :first AND :last;

-- name: list_copy_parts
SELECT c.seq, f.path FROM copies c JOIN files f ON f.file_no = c.file_no
WHERE c.run_no = :run_no AND c.seq BETWEEN :first AND :last;

-- name: list_parts_of_copies
SELECT path FROM files WHERE run_no = :run_no AND path LIKE '%/outputs/copies-%' ORDER BY file_no;

-- name: delete_copies_of_run
DELETE FROM copies WHERE run_no = :run_no;

-- name: delete_copy_counts_of_run
DELETE FROM copy_counts WHERE run_no = :run_no;
