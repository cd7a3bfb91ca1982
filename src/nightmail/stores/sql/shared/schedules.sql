-- name: insert_schedule
INSERT INTO schedules (name, spec, since, created_at) VALUES (:name, :spec, :now, :now)
ON CONFLICT (name) DO NOTHING;

-- name: replace_schedule
-- What has been delivered and taken stays known; what was missed before is not caught up.
UPDATE schedules SET spec = :spec, since = :now WHERE name = :name;

-- name: read_schedule
SELECT * FROM schedules WHERE name = :name;

-- name: list_schedules
SELECT * FROM schedules ORDER BY name;

-- name: pause_schedule
UPDATE schedules SET paused = 1 WHERE name = :name;

-- name: resume_schedule
-- What was due meanwhile was paused on purpose.
UPDATE schedules SET paused = 0, since = :now WHERE name = :name AND paused = 1;

-- name: delete_occurrences_of_schedule
DELETE FROM occurrences WHERE schedule_no = :schedule_no;

-- name: delete_taken_files_of_schedule
DELETE FROM taken_files WHERE schedule_no = :schedule_no;

-- name: delete_delivered_of_schedule
DELETE FROM delivered WHERE schedule_no = :schedule_no;

-- name: delete_schedule
DELETE FROM schedules WHERE schedule_no = :schedule_no;

-- name: list_occurrences
-- The newest first. One is open until its run is over; a run that was forgotten, because nothing of it was
-- sent, is over too.
SELECT o.*, o.abandoned = 0 AND (o.run_id IS NULL OR (r.run_no IS NOT NULL
            AND (r.finished_at IS NULL OR r.delivered_at IS NULL))) AS is_open
FROM occurrences o LEFT JOIN runs r ON r.run_id = o.run_id
WHERE o.schedule_no = :schedule_no ORDER BY o.due_at DESC LIMIT :limit;

-- name: read_open_occurrence
SELECT o.*, 1 AS is_open
FROM occurrences o LEFT JOIN runs r ON r.run_id = o.run_id
WHERE o.schedule_no = :schedule_no AND o.abandoned = 0
  AND (o.run_id IS NULL OR (r.run_no IS NOT NULL AND (r.finished_at IS NULL OR r.delivered_at IS NULL)))
ORDER BY o.due_at LIMIT 1;

-- name: read_output_taken
SELECT 1 FROM occurrences WHERE schedule_no = :schedule_no AND output = :output;

-- name: advance_schedule
UPDATE schedules SET since = :since WHERE schedule_no = :schedule_no;

-- name: insert_occurrence
INSERT INTO occurrences (schedule_no, due_at, output) VALUES (:schedule_no, :due_at, :output)
ON CONFLICT DO NOTHING;

-- name: take_file
-- Bulk: schedule_no, path, size, mtime_ns, due_at.
INSERT INTO taken_files (schedule_no, path, size, mtime_ns, due_at) VALUES (?, ?, ?, ?, ?);

-- name: list_taken_files
SELECT path, size, mtime_ns FROM taken_files WHERE schedule_no = :schedule_no;

-- name: list_files_of_occurrence
SELECT path, size, mtime_ns FROM taken_files
WHERE schedule_no = :schedule_no AND due_at = :due_at ORDER BY path;

-- name: start_occurrence
UPDATE occurrences SET run_id = :run_id, message = NULL
WHERE schedule_no = :schedule_no AND due_at = :due_at AND run_id IS NULL AND abandoned = 0;

-- name: trouble_occurrence
UPDATE occurrences SET message = :message, abandoned = :abandoned
WHERE schedule_no = :schedule_no AND due_at = :due_at AND run_id IS NULL;
