-- name: count_waiting
-- How many of the requests with these numbers (a JSON list) are waiting.
SELECT count(*) AS n FROM json_each(:seqs) AS wanted
CROSS JOIN requests q ON q.run_no = :run_no AND q.seq = wanted.value
WHERE q.state = 'waiting';
