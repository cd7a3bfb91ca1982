-- name: list_delivered
-- `keys` is a JSON array of them. CROSS: SQLite would go through all that was delivered once for each key.
SELECT d.key, d.digest FROM json_each(:keys) j
CROSS JOIN delivered d ON d.schedule_no = :schedule_no AND d.key = j.value;
