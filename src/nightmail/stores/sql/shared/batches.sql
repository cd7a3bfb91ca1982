-- name: insert_batch
INSERT INTO batches (run_no, batch_id, state, mode, account, model, endpoint, requests, tokens, bytes, inputs,
                     first_seq, last_seq, created_at)
VALUES (:run_no, :batch_id, 'planned', :mode, :account, :model, :endpoint, :requests, :tokens, :bytes, :inputs,
        :first_seq, :last_seq, :now);

-- name: count_batches
SELECT count(*) AS n FROM batches WHERE run_no = :run_no;

-- name: read_batch
SELECT * FROM batches WHERE batch_id = :batch_id;

-- name: read_batch_by_number
SELECT * FROM batches WHERE batch_no = :batch_no;

-- name: list_batches
SELECT * FROM batches
WHERE run_no = :run_no AND (:states IS NULL OR instr(:states, '|' || state || '|') > 0)
ORDER BY batch_no;

-- name: count_enqueued
-- What the provider may hold for a model, by our books.
SELECT count(*) AS batches, coalesce(sum(tokens), 0) AS tokens FROM batches
WHERE account = :account AND model = :model AND state IN ('submitting', 'doubtful', 'in_progress')
  AND mode = 'batch';

-- name: count_active
SELECT count(*) AS n FROM batches
WHERE account = :account AND state IN ('submitting', 'doubtful', 'in_progress');

-- name: list_provider_ids
SELECT provider_batch_id, batch_id FROM batches
WHERE account = :account AND provider_batch_id IS NOT NULL;

-- name: insert_event
INSERT INTO events (run_no, batch_no, at, name, detail) VALUES (:run_no, :batch_no, :at, :name, :detail);

-- name: list_events
SELECT e.at, r.run_id, b.batch_id, e.name, e.detail
FROM events e JOIN runs r ON r.run_no = e.run_no LEFT JOIN batches b ON b.batch_no = e.batch_no
WHERE e.run_no = :run_no ORDER BY e.event_no DESC LIMIT :limit;

-- name: delete_events_of_run
DELETE FROM events WHERE run_no = :run_no;
