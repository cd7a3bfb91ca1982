-- name: insert_intake
INSERT INTO intakes (intake_id, tenant, spec, created_at) VALUES (:intake_id, :tenant, :spec, :now)
ON CONFLICT (intake_id) DO NOTHING;

-- name: read_intake
SELECT i.*, (SELECT min(r.received_at) FROM intake_records r WHERE r.intake_no = i.intake_no AND r.cut_no IS NULL)
  AS oldest_at
FROM intakes i WHERE i.intake_id = :intake_id;

-- name: list_intakes
SELECT i.*, (SELECT min(r.received_at) FROM intake_records r WHERE r.intake_no = i.intake_no AND r.cut_no IS NULL)
  AS oldest_at
FROM intakes i ORDER BY i.intake_no;

-- name: close_intake
UPDATE intakes SET closed = 1 WHERE intake_no = :intake_no;

-- name: read_intake_queue
SELECT last_seq, waiting, closed, spec FROM intakes WHERE intake_no = :intake_no;

-- name: known_records
-- Those of the keys that are there already. A cross join is carried out in the order in which it is written:
-- each key is looked up, and not the whole intake gone through.
SELECT r.key, r.digest FROM json_each(:keys) k CROSS JOIN intake_records r
WHERE r.intake_no = :intake_no AND r.tenant = :tenant AND r.key = k.value;

-- name: insert_intake_records
INSERT INTO intake_records (intake_no, seq, tenant, key, digest, priority, tokens, segment_no, offset, length,
                            received_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: grow_intake
UPDATE intakes SET last_seq = :last_seq, waiting = waiting + :records, waiting_tokens = waiting_tokens + :tokens
WHERE intake_no = :intake_no;

-- name: insert_segment
INSERT INTO segments (path, holder) VALUES (:path, :holder);

-- name: spent_segments
-- The few cuts whose run has not begun are looked at one by one, never all that ever left.
SELECT s.segment_no, s.path, s.holder FROM segments s
WHERE s.holder <> ''
  AND NOT EXISTS (SELECT 1 FROM intake_records r WHERE r.segment_no = s.segment_no AND r.cut_no IS NULL)
  AND NOT EXISTS (SELECT 1 FROM cuts c CROSS JOIN intake_records r
                  WHERE c.run_id IS NULL AND r.cut_no = c.cut_no AND r.segment_no = s.segment_no);

-- name: retire_segment
-- The row stays: rows of records name it. From here on nobody appends to it, or relies on what was appended.
UPDATE segments SET holder = '', path = '-' || segment_no
WHERE segment_no = :segment_no AND holder = :holder
  AND NOT EXISTS (SELECT 1 FROM intake_records r WHERE r.segment_no = :segment_no AND r.cut_no IS NULL)
  AND NOT EXISTS (SELECT 1 FROM cuts c CROSS JOIN intake_records r
                  WHERE c.run_id IS NULL AND r.cut_no = c.cut_no AND r.segment_no = :segment_no);

-- name: held_segments
SELECT segment_no FROM segments WHERE holder <> '' AND segment_no IN (SELECT value FROM json_each(:segments));

-- name: list_segments
SELECT path FROM segments WHERE holder <> '';

-- name: cuts_over
-- Those of the cuts whose run is at its end, delivered if it is to be, or forgotten.
SELECT c.cut_no FROM json_each(:cuts) k CROSS JOIN cuts c LEFT JOIN runs u ON u.run_id = c.run_id
WHERE c.cut_no = k.value AND c.run_id IS NOT NULL
  AND (u.run_id IS NULL OR u.state = 'cancelled' OR (u.state = 'finished' AND u.delivered_at IS NOT NULL));

-- name: list_waiting
-- The urgent first, then the old.
SELECT tokens FROM intake_records
WHERE intake_no = :intake_no AND cut_no IS NULL ORDER BY priority DESC, seq LIMIT :limit;

-- name: insert_cut
INSERT INTO cuts (intake_no, records, holder, held_until, created_at)
VALUES (:intake_no, :records, :holder, :until, :now);

-- name: cut_records
-- The first of those that `list_waiting` lists, numbered in that order.
WITH leaving AS (
  SELECT seq, row_number() OVER (ORDER BY priority DESC, seq) AS line
  FROM (SELECT seq, priority FROM intake_records
        WHERE intake_no = :intake_no AND cut_no IS NULL ORDER BY priority DESC, seq LIMIT :records) AS first
)
UPDATE intake_records AS r SET cut_no = :cut_no, line = leaving.line
FROM leaving WHERE r.intake_no = :intake_no AND r.seq = leaving.seq;

-- name: shrink_intake
UPDATE intakes SET waiting = waiting - :records, waiting_tokens = waiting_tokens - :tokens
WHERE intake_no = :intake_no;

-- name: claim_cuts
UPDATE cuts SET holder = :holder, held_until = :until
WHERE run_id IS NULL
  AND (held_until <= :now OR held_until > :latest OR holder IN (SELECT value FROM json_each(:dead)));

-- name: list_held_cuts
SELECT c.cut_no, i.intake_id, c.records FROM cuts c JOIN intakes i ON i.intake_no = c.intake_no
WHERE c.run_id IS NULL AND c.holder = :holder ORDER BY c.cut_no;

-- name: list_cut_holders
SELECT DISTINCT holder FROM cuts WHERE run_id IS NULL;

-- name: list_addresses
SELECT s.path, r.offset, r.length FROM intake_records r JOIN segments s ON s.segment_no = r.segment_no
WHERE r.cut_no = :cut_no ORDER BY r.line;

-- name: begin_cut
UPDATE cuts SET run_id = :run_id WHERE cut_no = :cut_no;

-- name: page_of_intake
SELECT r.seq, r.key, c.run_id, r.line, coalesce(q.state, s.state) AS state,
       coalesce(q.attempts, s.state = 'succeeded') AS attempts, coalesce(q.batch_no, s.batch_no) AS batch_no, q.reason,
       (SELECT a.message FROM attempts a WHERE a.run_no = q.run_no AND a.seq = q.seq
        ORDER BY a.number DESC LIMIT 1) AS message
FROM intake_records r LEFT JOIN cuts c ON c.cut_no = r.cut_no LEFT JOIN runs u ON u.run_id = c.run_id
LEFT JOIN requests q ON q.run_no = u.run_no AND q.seq = r.line
LEFT JOIN stretches s ON q.seq IS NULL AND s.run_no = u.run_no AND r.line BETWEEN s.first_seq AND s.last_seq
WHERE r.intake_no = :intake_no AND r.tenant = :tenant AND r.seq > :after
ORDER BY r.seq LIMIT :limit;

-- name: read_intake_records
SELECT r.seq, r.key, c.run_id, r.line, coalesce(q.state, s.state) AS state,
       coalesce(q.attempts, s.state = 'succeeded') AS attempts, coalesce(q.batch_no, s.batch_no) AS batch_no, q.reason,
       (SELECT a.message FROM attempts a WHERE a.run_no = q.run_no AND a.seq = q.seq
        ORDER BY a.number DESC LIMIT 1) AS message
FROM (SELECT DISTINCT value FROM json_each(:keys)) k CROSS JOIN intake_records r
LEFT JOIN cuts c ON c.cut_no = r.cut_no LEFT JOIN runs u ON u.run_id = c.run_id
LEFT JOIN requests q ON q.run_no = u.run_no AND q.seq = r.line
LEFT JOIN stretches s ON q.seq IS NULL AND s.run_no = u.run_no AND r.line BETWEEN s.first_seq AND s.last_seq
WHERE r.intake_no = :intake_no AND r.tenant = :tenant AND r.key = k.value
ORDER BY r.seq;
