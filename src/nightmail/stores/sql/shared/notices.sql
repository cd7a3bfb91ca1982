-- name: read_noticed
SELECT event_no, home FROM noticed;

-- name: begin_noticing
-- Behind the newest event there is; nothing happens if somebody has begun.
INSERT INTO noticed (single, event_no, home) SELECT 1, coalesce(max(event_no), 0), :home FROM events WHERE true
ON CONFLICT DO NOTHING;

-- name: advance_noticed
-- Compare-and-set: changes nothing when somebody else has come further.
UPDATE noticed SET event_no = :upto WHERE event_no = :after;

-- name: find_notice
SELECT notice_no FROM notices WHERE notice_id = :notice_id;

-- name: insert_notice
INSERT INTO notices (notice_id, kind, run_id, at, body) VALUES (:notice_id, :kind, :run_id, :at, :body);

-- name: insert_delivery
INSERT INTO deliveries (notice_no, channel, run_id, state, due_at)
VALUES (:notice_no, :channel, :run_id, 'pending', :due_at);

-- name: list_due_heads
-- Of each run the first that is pending, if it is due. What belongs to no run is one such row of its own.
SELECT d.notice_no, d.tries, n.body FROM deliveries d JOIN notices n ON n.notice_no = d.notice_no
WHERE d.channel = :channel AND d.state = 'pending' AND d.due_at <= :now
  AND NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.channel = d.channel AND e.state = 'pending'
                  AND e.run_id IS d.run_id AND e.notice_no < d.notice_no)
ORDER BY d.notice_no LIMIT :limit;

-- name: list_due_together
-- All that are pending, if the first is due.
SELECT d.notice_no, d.tries, n.body FROM deliveries d JOIN notices n ON n.notice_no = d.notice_no
WHERE d.channel = :channel AND d.state = 'pending'
  AND (SELECT e.due_at FROM deliveries e WHERE e.channel = :channel AND e.state = 'pending'
       ORDER BY e.notice_no LIMIT 1) <= :now
ORDER BY d.notice_no LIMIT :limit;

-- name: next_delivery_due
SELECT min(due_at) AS due_at FROM deliveries
WHERE state = 'pending' AND due_at > :after AND channel IN (SELECT value FROM json_each(:channels));

-- name: claim_deliveries
UPDATE deliveries SET due_at = :until, tries = tries + 1
WHERE channel = :channel AND state = 'pending' AND notice_no IN (SELECT value FROM json_each(:numbers));

-- name: end_deliveries
UPDATE deliveries SET state = 'sent', due_at = NULL, error = NULL, ended_at = :now
WHERE channel = :channel AND state = 'pending' AND notice_no IN (SELECT value FROM json_each(:numbers));

-- name: put_off_deliveries
UPDATE deliveries SET due_at = :due_at, error = :error
WHERE channel = :channel AND state = 'pending' AND notice_no IN (SELECT value FROM json_each(:numbers));

-- name: give_up_deliveries
UPDATE deliveries SET state = 'given_up', due_at = NULL, ended_at = :now
WHERE state = 'pending' AND notice_no IN (SELECT notice_no FROM notices WHERE at < :before);

-- name: list_notices
SELECT notice_no, body FROM notices n
WHERE (:run_id IS NULL OR run_id = :run_id)
  AND (:tenant IS NULL OR EXISTS (SELECT 1 FROM runs r WHERE r.run_id = n.run_id AND r.tenant = :tenant))
  AND (:before IS NULL OR notice_no < (SELECT notice_no FROM notices WHERE notice_id = :before))
ORDER BY notice_no DESC LIMIT :limit;

-- name: count_deliveries
-- `due_at` is when the next that is pending is due.
SELECT channel, state, count(*) AS n, min(due_at) AS due_at FROM deliveries
GROUP BY channel, state ORDER BY channel, state;

-- name: list_deliveries
SELECT notice_no, channel, state, tries, due_at, ended_at, error FROM deliveries
WHERE notice_no IN (SELECT value FROM json_each(:numbers)) ORDER BY notice_no, channel;

-- name: insert_webhook
INSERT INTO webhooks (webhook_id, type, provider_batch_id, arrived_at)
VALUES (:webhook_id, :type, :provider_batch_id, :now) ON CONFLICT (webhook_id) DO NOTHING;

-- name: delete_old_webhooks
DELETE FROM webhooks WHERE arrived_at < :before;

-- name: look_at_batch_now
-- Always another value than before: a look that is under way sees by it that another is wanted.
UPDATE batches SET due_at = CASE WHEN due_at IS :now THEN NULL ELSE :now END
WHERE provider_batch_id = :provider_batch_id AND state = 'in_progress' AND mode = 'batch';
