-- name: list_again
-- Those that come back for another attempt and whose time has come. Asked in every round of a worker: the
-- index holds these few alone, but without being told SQLite walks all rows of the run, for their order.
SELECT seq, group_no, tokens, length, inputs FROM requests INDEXED BY requests_again
WHERE run_no = :run_no AND batch_no IS NOT NULL AND state IN ('ready', 'waiting')
  AND (due_at IS NULL OR due_at <= :now OR due_at > :latest)
ORDER BY seq LIMIT :limit;

-- name: count_waiting
-- How many of the requests with these numbers (a JSON list) are waiting.
SELECT count(*) AS n FROM json_each(:seqs) AS wanted
CROSS JOIN requests q ON q.run_no = :run_no AND q.seq = wanted.value
WHERE q.state = 'waiting';
