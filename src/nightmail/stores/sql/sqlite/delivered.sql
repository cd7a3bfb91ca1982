-- name: list_delivered
-- `keys` is a JSON array of them.
SELECT d.key, d.digest FROM json_each(:keys) j
JOIN delivered d ON d.schedule_no = :schedule_no AND d.key = j.value;
