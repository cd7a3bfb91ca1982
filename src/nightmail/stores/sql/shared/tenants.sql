-- name: write_tenant
INSERT INTO tenants (name, budget_pusd, share, created_at) VALUES (:name, :budget_pusd, :share, :now)
ON CONFLICT (name) DO UPDATE SET budget_pusd = excluded.budget_pusd, share = excluded.share;

-- name: list_tenants
SELECT name, budget_pusd, share FROM tenants ORDER BY name;

-- name: read_tenant_of_run
-- What the tenant of a run is allowed; no row if the run is nobody's.
SELECT t.name, t.budget_pusd, t.share FROM runs r JOIN tenants t ON t.name = r.tenant WHERE r.run_no = :run_no;

-- name: tenant_spending
SELECT coalesce(sum(b.cost_pusd), 0) AS spent,
       coalesce(sum(b.reserved_pusd) FILTER (WHERE b.state IN ('submitting', 'doubtful', 'in_progress', 'ended')), 0)
         AS reserved
FROM batches b JOIN runs r ON r.run_no = b.run_no
WHERE r.tenant = :tenant AND b.submitted_at >= :since;

-- name: tenant_in_flight
SELECT coalesce(sum(coalesce(b.reserved_tokens, b.tokens)), 0) AS tokens
FROM batches b JOIN runs r ON r.run_no = b.run_no
WHERE r.tenant = :tenant AND b.account = :account AND b.model = :model AND b.mode = 'batch'
  AND b.state IN ('submitting', 'doubtful', 'in_progress');

-- name: insert_key
INSERT INTO api_keys (key_id, tenant, scope, digest, created_at)
VALUES (:key_id, :tenant, :scope, :digest, :now);

-- name: list_keys
SELECT key_id, tenant, scope, digest, created_at, revoked_at FROM api_keys ORDER BY created_at, key_id;

-- name: revoke_key
UPDATE api_keys SET revoked_at = :now WHERE key_id = :key_id AND revoked_at IS NULL;

-- name: insert_session
INSERT INTO sessions (digest, key_id, created_at, expires_at) VALUES (:digest, :key_id, :now, :expires_at);

-- name: read_session
-- The key of a session that is good, if the key is.
SELECT k.key_id, k.tenant, k.scope, k.digest, k.created_at, k.revoked_at
FROM sessions s JOIN api_keys k ON k.key_id = s.key_id
WHERE s.digest = :digest AND s.expires_at > :now AND k.revoked_at IS NULL;

-- name: delete_session
DELETE FROM sessions WHERE digest = :digest;

-- name: delete_ended_sessions
DELETE FROM sessions WHERE expires_at <= :now;
