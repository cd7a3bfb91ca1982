-- name: page_of_requests
SELECT q.seq, q.key, q.state, q.attempts, q.batch_no, q.reason,
       (SELECT a.message FROM attempts a WHERE a.run_no = q.run_no AND a.seq = q.seq
        ORDER BY a.number DESC LIMIT 1) AS message,
       (SELECT f.path FROM copies c JOIN files f ON f.file_no = c.file_no
        WHERE c.run_no = q.run_no AND c.seq = q.seq) AS part
FROM requests q
WHERE q.run_no = :run_no AND q.seq > :after AND (:state IS NULL OR q.state = :state)
ORDER BY q.seq LIMIT :limit;

-- name: read_requests
SELECT q.seq, q.key, q.state, q.attempts, q.batch_no, q.reason,
       (SELECT a.message FROM attempts a WHERE a.run_no = q.run_no AND a.seq = q.seq
        ORDER BY a.number DESC LIMIT 1) AS message,
       (SELECT f.path FROM copies c JOIN files f ON f.file_no = c.file_no
        WHERE c.run_no = q.run_no AND c.seq = q.seq) AS part
FROM requests q
WHERE q.run_no = :run_no AND q.seq IN (SELECT value FROM json_each(:seqs))
ORDER BY q.seq;

-- name: list_queues
-- Models that have something in flight or planned, or of which something was learned.
SELECT k.account, k.model, coalesce(f.batches, 0) AS batches, coalesce(f.requests, 0) AS requests,
       coalesce(f.tokens, 0) AS tokens, q.limit_tokens, q.learned_at, coalesce(q.refusals, 0) AS refusals,
       q.blocked_until, coalesce(p.batches, 0) AS planned, coalesce(p.tokens, 0) AS planned_tokens
FROM (SELECT account, model FROM quotas
      UNION SELECT account, model FROM batches
      WHERE state IN ('submitting', 'doubtful', 'in_progress') AND mode = 'batch'
      UNION SELECT account, model FROM batches WHERE state = 'planned' AND mode = 'batch') k
LEFT JOIN quotas q ON q.account = k.account AND q.model = k.model
LEFT JOIN (SELECT b.account, b.model, count(*) AS batches, sum(b.tokens) AS tokens
           FROM batches b JOIN runs r ON r.run_no = b.run_no
           WHERE b.state = 'planned' AND b.mode = 'batch' AND (:tenant IS NULL OR r.tenant = :tenant)
           GROUP BY b.account, b.model) p ON p.account = k.account AND p.model = k.model
LEFT JOIN (SELECT b.account, b.model, count(*) AS batches, sum(b.requests) AS requests,
                  sum(coalesce(b.reserved_tokens, b.tokens)) AS tokens
           FROM batches b JOIN runs r ON r.run_no = b.run_no
           WHERE b.state IN ('submitting', 'doubtful', 'in_progress') AND b.mode = 'batch'
             AND (:tenant IS NULL OR r.tenant = :tenant)
           GROUP BY b.account, b.model) f ON f.account = k.account AND f.model = k.model
ORDER BY k.account, k.model;

-- name: list_costs
-- A sum is unknown if the price of one of its batches is.
SELECT substr(b.submitted_at, 1, 10) AS day, b.model, sum(b.answers) AS requests,
       sum(b.input_tokens) AS input_tokens, sum(b.output_tokens) AS output_tokens,
       CASE WHEN count(*) = count(b.cost_pusd) THEN sum(b.cost_pusd) END AS cost_pusd,
       CASE WHEN count(*) = count(b.sync_cost_pusd) THEN sum(b.sync_cost_pusd) END AS sync_cost_pusd,
       CASE WHEN count(*) = count(b.wasted_pusd) THEN sum(b.wasted_pusd) END AS wasted_pusd
FROM batches b JOIN runs r ON r.run_no = b.run_no
WHERE b.settled_at IS NOT NULL AND b.submitted_at >= :since AND (:tenant IS NULL OR r.tenant = :tenant)
GROUP BY day, b.model ORDER BY day, b.model;
