-- name: insert_batch
INSERT INTO batches (run_no, batch_id, state, mode, account, model, endpoint, requests, tokens, bytes, inputs,
                     first_seq, last_seq, created_at)
VALUES (:run_no, :batch_id, 'planned', :mode, :account, :model, :endpoint, :requests, :tokens, :bytes, :inputs,
        :first_seq, :last_seq, :now);

-- name: insert_extra
-- A batch that the provider has a second time; its input file stays the other's.
INSERT INTO batches (run_no, batch_id, state, mode, account, model, endpoint, requests, tokens, bytes, inputs,
                     first_seq, last_seq, created_at, extra_of)
SELECT run_no, :batch_id, 'planned', mode, account, model, endpoint, requests, tokens, bytes, inputs,
       first_seq, last_seq, :now, batch_no
FROM batches WHERE batch_no = :extra_of;

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

-- name: look_now
-- What is in flight is due at once.
UPDATE batches SET due_at = :now WHERE run_no = :run_no AND state = 'in_progress' AND mode = 'batch';

-- name: count_enqueued
-- What the provider may hold for a model, by our books; unconfirmed is what it may still refuse. One in doubt
-- may be so until a person decides, and nobody waits for that.
SELECT count(*) AS batches, coalesce(sum(coalesce(reserved_tokens, tokens)), 0) AS tokens,
       coalesce(sum(requests), 0) AS requests,
       coalesce(sum(state <> 'doubtful' AND (phase IS NULL OR phase = 'validating')), 0) AS unconfirmed
FROM batches
WHERE account = :account AND model = :model AND state IN ('submitting', 'doubtful', 'in_progress')
  AND mode = 'batch';

-- name: count_active
SELECT count(*) AS n FROM batches
WHERE account = :account AND state IN ('submitting', 'doubtful', 'in_progress') AND mode = 'batch';

-- name: count_creates
-- Create calls of the last hour; a batch that was put back counts once, for its newest.
SELECT count(*) AS n FROM batches WHERE account = :account AND submitted_at > :since AND mode = 'batch';

-- name: run_spending
-- What settled batches brought and cost, and what is reserved for those that may still cost something.
SELECT coalesce(sum(answers), 0) AS answers,
       coalesce(sum(output_tokens), 0) AS output_tokens,
       coalesce(sum(cost_pusd), 0) AS spent,
       coalesce(sum(reserved_pusd) FILTER (WHERE state IN ('submitting', 'doubtful', 'in_progress', 'ended')), 0)
         AS reserved
FROM batches WHERE run_no = :run_no;

-- name: day_spending
SELECT coalesce(sum(cost_pusd), 0) AS spent,
       coalesce(sum(reserved_pusd) FILTER (WHERE state IN ('submitting', 'doubtful', 'in_progress', 'ended')), 0)
         AS reserved
FROM batches WHERE submitted_at >= :since;

-- name: read_quota
SELECT limit_tokens, learned_at, refusals, blocked_until FROM quotas
WHERE account = :account AND model = :model;

-- name: write_quota
INSERT INTO quotas (account, model, limit_tokens, learned_at, refusals, blocked_until)
VALUES (:account, :model, :limit_tokens, :learned_at, :refusals, :blocked_until)
ON CONFLICT (account, model) DO UPDATE SET limit_tokens = excluded.limit_tokens,
  learned_at = excluded.learned_at, refusals = excluded.refusals, blocked_until = excluded.blocked_until;

-- name: note_wait
INSERT INTO waits (account, model, run_no, since, asked_at) VALUES (:account, :model, :run_no, :now, :now)
ON CONFLICT (account, model, run_no) DO UPDATE SET asked_at = excluded.asked_at;

-- name: end_wait
DELETE FROM waits WHERE account = :account AND model = :model AND run_no = :run_no;

-- name: has_more
-- Has the run other batches that wait for this queue?
SELECT 1 FROM batches
WHERE run_no = :run_no AND account = :account AND model = :model AND state = 'planned' AND batch_no <> :batch_no
LIMIT 1;

-- name: list_waits
-- Runs that still ask for room, with what they have in flight. Who asked at a time that is still to come did
-- so before the clock was set back.
SELECT w.run_no, w.since, coalesce(json_extract(r.spec, '$.priority'), 0) AS priority,
       coalesce(sum(coalesce(b.reserved_tokens, b.tokens)), 0) AS tokens, count(b.batch_no) AS batches
FROM waits w JOIN runs r ON r.run_no = w.run_no
LEFT JOIN batches b ON b.run_no = w.run_no AND b.account = w.account AND b.model = w.model AND b.mode = 'batch'
  AND b.state IN ('submitting', 'doubtful', 'in_progress')
WHERE w.account = :account AND w.model = :model AND w.asked_at > :asked_since AND w.asked_at <= :now
  AND r.state IN ('open', 'draining') AND r.wish IS NULL
GROUP BY w.run_no, w.since, r.spec;

-- name: own_in_flight
SELECT coalesce(sum(coalesce(reserved_tokens, tokens)), 0) AS tokens, count(*) AS batches FROM batches
WHERE run_no = :run_no AND account = :account AND model = :model AND mode = 'batch'
  AND state IN ('submitting', 'doubtful', 'in_progress');

-- name: list_provider_ids
SELECT provider_batch_id, batch_id FROM batches
WHERE account = :account AND provider_batch_id IS NOT NULL;

-- name: write_object
INSERT INTO provider_objects (batch_no, seen_at, object) VALUES (:batch_no, :now, :object)
ON CONFLICT (batch_no) DO UPDATE SET seen_at = excluded.seen_at, object = excluded.object;

-- name: insert_look
-- Nothing happens if it shows hardly more than the newest that is there.
INSERT INTO looks (batch_no, at, status, total, completed, failed)
SELECT :batch_no, :now, :status, :total, :completed, :failed
WHERE NOT EXISTS (
  SELECT 1 FROM looks
  WHERE batch_no = :batch_no AND at = (SELECT max(at) FROM looks WHERE batch_no = :batch_no)
    AND status = :status
    AND abs(coalesce(completed, 0) + coalesce(failed, 0) - coalesce(:completed, 0) - coalesce(:failed, 0)) < :step)
ON CONFLICT DO NOTHING;

-- name: insert_event
INSERT INTO events (run_no, batch_no, at, name, detail) VALUES (:run_no, :batch_no, :at, :name, :detail);

-- name: list_events
SELECT e.at, r.run_id, b.batch_id, e.name, e.detail
FROM events e JOIN runs r ON r.run_no = e.run_no LEFT JOIN batches b ON b.batch_no = e.batch_no
WHERE e.run_no = :run_no ORDER BY e.event_no DESC LIMIT :limit;

-- name: list_events_after
SELECT e.event_no, e.at, r.run_id, b.batch_id, e.name, e.detail
FROM events e JOIN runs r ON r.run_no = e.run_no LEFT JOIN batches b ON b.batch_no = e.batch_no
WHERE e.event_no > :after ORDER BY e.event_no LIMIT :limit;

-- name: delete_events_of_run
DELETE FROM events WHERE run_no = :run_no;

-- name: delete_waits_of_run
DELETE FROM waits WHERE run_no = :run_no;
