-- name: keep_content
-- Bulk: run_no, seq, digest. A piece that is built again after a crash gives the same.
INSERT INTO contents (run_no, seq, digest) VALUES (?, ?, ?)
ON CONFLICT (run_no, seq) DO UPDATE SET digest = excluded.digest;

-- name: remember_delivered
-- An older run that is asked again does not undo what a newer one has delivered. Nothing is remembered for
-- a schedule that is no more.
INSERT INTO delivered (schedule_no, key, digest, run_no)
SELECT :schedule_no, q.key, c.digest, q.run_no
FROM contents c JOIN requests q ON q.run_no = c.run_no AND q.seq = c.seq
WHERE c.run_no = :run_no AND c.seq BETWEEN :first AND :last AND q.state = 'succeeded'
  AND EXISTS (SELECT 1 FROM schedules s WHERE s.schedule_no = :schedule_no)
ON CONFLICT (schedule_no, key) DO UPDATE SET digest = excluded.digest, run_no = excluded.run_no
WHERE excluded.run_no >= delivered.run_no;

-- name: remember_one
-- Bulk: schedule_no, key, digest, run_no. The same for one without a row.
INSERT INTO delivered (schedule_no, key, digest, run_no)
SELECT s.schedule_no, ?2, ?3, ?4 FROM schedules s WHERE s.schedule_no = ?1
ON CONFLICT (schedule_no, key) DO UPDATE SET digest = excluded.digest, run_no = excluded.run_no
WHERE excluded.run_no >= delivered.run_no;

-- name: list_contents
SELECT seq, digest FROM contents WHERE run_no = :run_no AND seq BETWEEN :first AND :last;

-- name: delete_contents_of_run
DELETE FROM contents WHERE run_no = :run_no;
