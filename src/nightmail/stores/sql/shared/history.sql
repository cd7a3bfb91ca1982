-- name: page_of_unfinished_runs
SELECT * FROM runs
WHERE finished_at IS NULL AND (:tenant IS NULL OR tenant = :tenant)
ORDER BY run_no DESC LIMIT :limit;

-- name: list_slots
-- A batch that was never sent, or was put back, has sent nothing; an extra has sent what another has.
-- Half a millisecond is more than the days, as fractions, are wrong by.
SELECT slot, sum(sent) AS sent, sum(through) AS through, sum(succeeded) AS succeeded FROM (
  SELECT CAST(((julianday(b.submitted_at) - julianday(:since)) * 86400.0 + 0.0005) / :width AS INTEGER) AS slot,
         CASE WHEN b.extra_of IS NULL THEN b.requests ELSE 0 END AS sent, 0 AS through, 0 AS succeeded
  FROM batches b JOIN runs r ON r.run_no = b.run_no
  WHERE b.submitted_at >= :since AND b.state NOT IN ('planned', 'abandoned')
    AND (:run_no IS NULL OR b.run_no = :run_no) AND (:tenant IS NULL OR r.tenant = :tenant)
  UNION ALL
  SELECT CAST(((julianday(b.settled_at) - julianday(:since)) * 86400.0 + 0.0005) / :width AS INTEGER),
         0, CASE WHEN b.extra_of IS NULL THEN b.requests ELSE 0 END, b.succeeded
  FROM batches b JOIN runs r ON r.run_no = b.run_no
  WHERE b.settled_at >= :since AND b.state NOT IN ('planned', 'abandoned')
    AND (:run_no IS NULL OR b.run_no = :run_no) AND (:tenant IS NULL OR r.tenant = :tenant))
GROUP BY slot ORDER BY slot;

-- name: list_trips
SELECT b.batch_id, r.run_id, b.model, b.requests, b.phase, b.submitted_at, b.ended_at
FROM batches b JOIN runs r ON r.run_no = b.run_no
WHERE b.ended_at >= :since AND b.submitted_at IS NOT NULL AND b.mode = 'batch'
  AND (:tenant IS NULL OR r.tenant = :tenant)
ORDER BY b.ended_at DESC LIMIT :limit;

-- name: page_of_batches
-- Those that are under way first: one that has been for long may be an old one.
SELECT * FROM batches WHERE run_no = :run_no AND state <> 'planned'
ORDER BY state IN ('submitting', 'doubtful', 'in_progress', 'ended') DESC, batch_no DESC
LIMIT :limit OFFSET :skip;

-- name: read_totals
-- A sum is unknown if the price of one of its batches is.
SELECT count(*) AS batches, count(settled_at) AS batches_done,
       coalesce(sum(requests) FILTER (WHERE submitted_at IS NOT NULL AND state NOT IN ('planned', 'abandoned')), 0)
         AS requests_sent,
       min(submitted_at) FILTER (WHERE state NOT IN ('planned', 'abandoned')) AS started_at,
       coalesce(sum(input_tokens) FILTER (WHERE settled_at IS NOT NULL), 0) AS input_tokens,
       coalesce(sum(output_tokens) FILTER (WHERE settled_at IS NOT NULL), 0) AS output_tokens,
       CASE WHEN count(settled_at) = count(cost_pusd) FILTER (WHERE settled_at IS NOT NULL)
            THEN coalesce(sum(cost_pusd) FILTER (WHERE settled_at IS NOT NULL), 0) END AS cost_pusd,
       CASE WHEN count(settled_at) = count(sync_cost_pusd) FILTER (WHERE settled_at IS NOT NULL)
            THEN coalesce(sum(sync_cost_pusd) FILTER (WHERE settled_at IS NOT NULL), 0) END AS sync_cost_pusd,
       CASE WHEN count(settled_at) = count(wasted_pusd) FILTER (WHERE settled_at IS NOT NULL)
            THEN coalesce(sum(wasted_pusd) FILTER (WHERE settled_at IS NOT NULL), 0) END AS wasted_pusd
FROM batches WHERE run_no = :run_no;

-- name: read_reserved
-- A sum is unknown if one of its parts is.
SELECT count(*) FILTER (WHERE settled_at IS NOT NULL AND reserved_pusd IS NULL) AS settled_unknown,
       coalesce(sum(reserved_pusd) FILTER (WHERE settled_at IS NOT NULL), 0) AS settled,
       count(*) FILTER (WHERE settled_at IS NULL AND reserved_pusd IS NULL) AS under_way_unknown,
       coalesce(sum(reserved_pusd) FILTER (WHERE settled_at IS NULL), 0) AS under_way,
       coalesce(sum(requests) FILTER (WHERE settled_at IS NULL), 0) AS requests
FROM batches
WHERE run_no = :run_no AND submitted_at IS NOT NULL AND state NOT IN ('planned', 'abandoned');

-- name: list_examples
SELECT e.seq, e.reason, q.key,
       (SELECT a.message FROM attempts a WHERE a.run_no = :run_no AND a.seq = e.seq
        ORDER BY a.number DESC LIMIT 1) AS message
FROM (SELECT seq, reason, row_number() OVER (PARTITION BY reason ORDER BY seq) AS place
      FROM (SELECT seq, reason FROM requests WHERE run_no = :run_no AND state = 'failed'
            ORDER BY seq LIMIT :among)) e
JOIN requests q ON q.run_no = :run_no AND q.seq = e.seq
WHERE e.place <= :each ORDER BY e.seq;

-- name: read_first_line
-- Records of which no request could be made have no line.
SELECT q.seq, f.path, q.offset, q.length FROM requests q JOIN files f ON f.file_no = q.file_no
WHERE q.run_no = :run_no AND q.seq <= 1000 ORDER BY q.seq LIMIT 1;
