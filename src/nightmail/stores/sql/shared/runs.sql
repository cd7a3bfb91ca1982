-- name: insert_run
-- A new run; nothing happens if the id is taken.
INSERT INTO runs (run_id, identity, state, spec, fingerprint, created_at)
VALUES (:run_id, :identity, 'open', :spec, :fingerprint, :now)
ON CONFLICT (run_id) DO NOTHING;

-- name: read_run
SELECT * FROM runs WHERE run_id = :run_id;

-- name: read_run_by_number
SELECT * FROM runs WHERE run_no = :run_no;

-- name: list_runs
SELECT * FROM runs WHERE :identity IS NULL OR identity = :identity ORDER BY run_no;

-- name: list_unfinished_runs
-- Written as the index on them is.
SELECT * FROM runs WHERE finished_at IS NULL OR (state = 'finished' AND delivered_at IS NULL) ORDER BY run_no;

-- name: page_of_runs
SELECT * FROM runs
WHERE (:tenant IS NULL OR tenant = :tenant)
  AND (:before IS NULL OR run_no < (SELECT run_no FROM runs WHERE run_id = :before))
ORDER BY run_no DESC LIMIT :limit;

-- name: claimable_run
-- The oldest run that has work, or any if it may be idle, and whose lease, if any, is over.
SELECT run_no FROM runs
WHERE (leased_until IS NULL OR leased_until <= :now
       OR lease_token IN (SELECT value FROM json_each(:dead)))
  AND (:run_id IS NULL OR run_id = :run_id)
  AND (:idle OR state IN ('open', 'draining') OR wish IS NOT NULL OR (state = 'finished' AND delivered_at IS NULL))
ORDER BY run_no LIMIT 1;

-- name: lease_run
UPDATE runs SET lease_token = :token, leased_until = :until WHERE run_no = :run_no;

-- name: list_leases
SELECT run_no, lease_token, leased_until FROM runs WHERE lease_token IS NOT NULL;

-- name: delete_unsent_run
-- Deletes nothing once a batch has been planned.
DELETE FROM runs WHERE run_no = :run_no AND NOT EXISTS (SELECT 1 FROM batches WHERE run_no = :run_no);

-- name: renew_lease
UPDATE runs SET leased_until = :until WHERE run_no = :run_no AND lease_token = :token;

-- name: release_lease
UPDATE runs SET lease_token = NULL, leased_until = NULL WHERE run_no = :run_no AND lease_token = :token;

-- name: read_fence
-- The fence of every write that belongs to a run.
SELECT 1 FROM runs WHERE run_no = :run_no AND lease_token = :token;

-- name: move_run
-- Compare-and-set: changes nothing when somebody else moved the run first.
UPDATE runs
SET state = :new_state, pause_reason = :pause_reason, pause_message = :pause_message,
    finished_at = :finished_at,
    sealed = CASE WHEN :sealed THEN 1 ELSE sealed END,
    wish = CASE WHEN :new_state IN ('finished', 'cancelled') THEN NULL ELSE wish END,
    delivered_at = CASE WHEN :reopened THEN NULL ELSE delivered_at END,
    hurried_at = CASE WHEN :reopened THEN NULL ELSE hurried_at END
WHERE run_no = :run_no AND state = :old_state;

-- name: hurry_run
UPDATE runs SET hurried_at = :now WHERE run_no = :run_no AND hurried_at IS NULL;

-- name: set_wish
UPDATE runs SET wish = :wish WHERE run_no = :run_no;

-- name: set_spec
UPDATE runs SET spec = :spec, fingerprint = :fingerprint WHERE run_no = :run_no;

-- name: set_key
UPDATE runs SET key_name = :name, key_kind = :kind WHERE run_no = :run_no;

-- name: set_delivered
UPDATE runs SET delivered_at = :now WHERE run_no = :run_no;

-- name: advance_run
-- A shard is in: where reading goes on, and how many records there are now.
UPDATE runs SET position = :position, record_count = record_count + :records,
                unchanged_count = unchanged_count + :unchanged
WHERE run_no = :run_no;

-- name: calibrate_run
UPDATE runs SET counted_tokens = counted_tokens + :counted, billed_tokens = billed_tokens + :billed
WHERE run_no = :run_no;

-- name: set_planned_seq
-- Not beyond a new request that is left out, whatever its group: nobody would look for it any more.
UPDATE runs SET planned_seq = coalesce(
  (SELECT min(seq) - 1 FROM (
     SELECT min(q.seq) AS seq FROM requests q
     WHERE q.run_no = :run_no AND q.seq > runs.planned_seq AND q.state = 'ready' AND q.batch_no IS NULL
     UNION ALL SELECT min(s.first_seq) FROM stretches s WHERE s.run_no = :run_no AND s.state = 'ready')),
  max(planned_seq, :seq))
WHERE run_no = :run_no;
