-- name: read_batch_whole
SELECT b.*, r.run_id, r.tenant, o.object, o.seen_at
FROM batches b JOIN runs r ON r.run_no = b.run_no LEFT JOIN provider_objects o ON o.batch_no = b.batch_no
WHERE b.batch_id = :batch_id;

-- name: list_looks
SELECT at, status, total, completed, failed FROM looks WHERE batch_no = :batch_no ORDER BY at DESC LIMIT :limit;

-- name: list_causes
-- Among the attempts of the requests that the batch spans: the key of the table leads to them.
SELECT outcome, reason, count(*) AS requests FROM attempts
WHERE run_no = :run_no AND seq BETWEEN :first AND :last AND batch_no = :batch_no
GROUP BY outcome, reason ORDER BY requests DESC, outcome, reason;

-- name: list_doubles
-- Those of the run that are an extra of it, and the one that it is an extra of.
SELECT batch_id FROM batches
WHERE run_no = :run_no AND (extra_of = :batch_no OR batch_no = :extra_of) ORDER BY batch_no;

-- name: list_events_of_batch
SELECT e.at, r.run_id, b.batch_id, e.name, e.detail
FROM events e JOIN runs r ON r.run_no = e.run_no JOIN batches b ON b.batch_no = e.batch_no
WHERE e.batch_no = :batch_no ORDER BY e.event_no DESC LIMIT :limit;

-- name: sum_reasons
-- A few counts for each run that there ever was.
SELECT t.name AS reason, sum(t.n) AS records, count(*) AS runs FROM tallies t JOIN runs r ON r.run_no = t.run_no
WHERE t.kind = 'reason' AND t.n > 0 AND (:tenant IS NULL OR r.tenant = :tenant)
GROUP BY t.name ORDER BY records DESC, reason;

-- name: list_failing_runs
SELECT r.* FROM runs r
WHERE (:tenant IS NULL OR r.tenant = :tenant)
  AND (:before IS NULL OR r.run_no < (SELECT run_no FROM runs WHERE run_id = :before))
  AND EXISTS (SELECT 1 FROM tallies t WHERE t.run_no = r.run_no AND t.kind = 'reason' AND t.n > 0
                AND (:reason IS NULL OR t.name = :reason))
ORDER BY r.run_no DESC LIMIT :limit;

-- name: page_of_failed
-- The index holds the failed alone, with their reasons.
SELECT q.seq, q.key, q.state, q.attempts, q.batch_no, q.reason,
       (SELECT a.message FROM attempts a WHERE a.run_no = q.run_no AND a.seq = q.seq
        ORDER BY a.number DESC LIMIT 1) AS message, NULL AS part
FROM (SELECT seq FROM requests
      WHERE run_no = :run_no AND state = 'failed' AND seq > :after AND (:reason IS NULL OR reason = :reason)
      ORDER BY seq LIMIT :limit) f
JOIN requests q ON q.run_no = :run_no AND q.seq = f.seq ORDER BY q.seq;

-- name: list_troubled_batches
SELECT b.*, r.run_id FROM batches b JOIN runs r ON r.run_no = b.run_no
WHERE (b.error_message IS NOT NULL OR b.phase IN ('failed', 'expired'))
  AND (:tenant IS NULL OR r.tenant = :tenant)
  AND (:before IS NULL OR b.batch_no < (SELECT batch_no FROM batches WHERE batch_id = :before))
ORDER BY b.batch_no DESC LIMIT :limit;

-- name: list_events_named
-- `names` is a JSON list. Bounded by how far back it looks.
SELECT e.at, r.run_id, b.batch_id, e.name, e.detail
FROM events e JOIN runs r ON r.run_no = e.run_no LEFT JOIN batches b ON b.batch_no = e.batch_no
WHERE e.event_no > (SELECT coalesce(max(event_no), 0) FROM events) - :among
  AND e.name IN (SELECT value FROM json_each(:names)) AND (:tenant IS NULL OR r.tenant = :tenant)
ORDER BY e.event_no DESC LIMIT :limit;

-- name: find_key
SELECT seq, key FROM requests
WHERE run_no = :run_no AND seq > :after AND seq <= :upto AND key IN (:text, :number) ORDER BY seq LIMIT :limit;

-- name: find_keys_between
SELECT seq, key FROM requests
WHERE run_no = :run_no AND seq > :after AND seq <= :upto AND key >= :text AND key < :beyond
ORDER BY seq LIMIT :limit;

-- name: find_numbers_beginning
SELECT seq, key FROM requests
WHERE run_no = :run_no AND seq > :after AND seq <= :upto AND substr(CAST(key AS TEXT), 1, length(:text)) = :text
ORDER BY seq LIMIT :limit;

-- name: list_given_quotas
SELECT j.key AS model, min(j.value) AS least, max(j.value) AS most
FROM runs r, json_each(r.spec, '$.quotas') j
WHERE r.state IN ('open', 'draining', 'paused') GROUP BY j.key;

-- name: list_waiting_runs
SELECT w.account, w.model, r.run_id, w.since FROM waits w JOIN runs r ON r.run_no = w.run_no
WHERE r.state IN ('open', 'draining') AND (:tenant IS NULL OR r.tenant = :tenant)
ORDER BY w.since LIMIT :limit;

-- name: list_uses
SELECT b.account, b.model, r.tenant, sum(coalesce(b.reserved_tokens, b.tokens)) AS tokens
FROM batches b JOIN runs r ON r.run_no = b.run_no
WHERE b.state IN ('submitting', 'doubtful', 'in_progress') AND b.mode = 'batch'
  AND (:tenant IS NULL OR r.tenant = :tenant)
GROUP BY b.account, b.model, r.tenant ORDER BY b.account, b.model, tokens DESC;
