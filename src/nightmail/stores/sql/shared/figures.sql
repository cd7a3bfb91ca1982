-- name: figures_of_runs
SELECT state AS name, count(*) AS n FROM runs GROUP BY state;

-- name: figures_of_tallies
SELECT kind, name, sum(n) AS n FROM tallies WHERE kind IN ('state', 'reason') GROUP BY kind, name;

-- name: figures_of_batches
-- A batch under way is never planned again, so these looks only become more.
SELECT state AS name, count(*) AS n,
       coalesce(sum(polls) FILTER (WHERE state IN ('in_progress', 'ended', 'settled', 'finalised')), 0) AS polls,
       min(created_at) AS oldest
FROM batches GROUP BY state;

-- name: figures_of_events
SELECT name, count(*) AS n FROM events GROUP BY name;

-- name: figures_of_deliveries
SELECT d.state AS name, count(*) AS n, min(n.at) AS oldest
FROM deliveries d JOIN notices n ON n.notice_no = d.notice_no GROUP BY d.state;

-- name: figures_of_queues
-- Every queue in which something is or from which something was learned.
SELECT k.account, k.model, coalesce(b.tokens, 0) AS tokens, coalesce(b.n, 0) AS batches, q.limit_tokens, q.blocked_until
FROM (SELECT account, model FROM quotas UNION SELECT account, model FROM batches
      WHERE mode = 'batch') k
LEFT JOIN quotas q ON q.account = k.account AND q.model = k.model
LEFT JOIN (SELECT account, model, sum(coalesce(reserved_tokens, tokens)) AS tokens, count(*) AS n FROM batches
           WHERE state IN ('submitting', 'doubtful', 'in_progress') AND mode = 'batch'
           GROUP BY account, model) b ON b.account = k.account AND b.model = k.model
ORDER BY k.account, k.model;

-- name: figures_of_turnaround
-- `bounds` is a JSON list of seconds; how many batches of a model took longer than the bound before, and no longer.
SELECT model, (SELECT count(*) FROM json_each(:bounds) WHERE value < seconds) AS bucket,
       count(*) AS n, sum(seconds) AS seconds
FROM (SELECT model, (julianday(ended_at) - julianday(submitted_at)) * 86400.0 AS seconds FROM batches
      WHERE ended_at IS NOT NULL AND submitted_at IS NOT NULL AND mode = 'batch')
GROUP BY model, bucket ORDER BY model, bucket;

-- name: figures_of_money
SELECT model, coalesce(sum(cost_pusd), 0) AS cost, coalesce(sum(sync_cost_pusd), 0) AS sync_cost,
       coalesce(sum(wasted_pusd), 0) AS wasted, sum(cost_pusd IS NULL) AS unpriced,
       sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens
FROM batches WHERE settled_at IS NOT NULL GROUP BY model ORDER BY model;
