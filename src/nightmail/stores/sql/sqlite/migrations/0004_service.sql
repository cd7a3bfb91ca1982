-- What a service on the home needs: whose a run is, and who may ask.

ALTER TABLE runs ADD COLUMN tenant TEXT GENERATED ALWAYS AS (json_extract(spec, '$.tenant')) VIRTUAL;

CREATE INDEX runs_by_tenant ON runs (tenant, run_no);

-- Who shares the service. `budget_pusd` is for a UTC month, `share` a part of each model's queue.
CREATE TABLE tenants (
  name        TEXT PRIMARY KEY,
  budget_pusd INTEGER CHECK (budget_pusd > 0),
  share       REAL CHECK (share > 0 AND share <= 1),
  created_at  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Keys of the service, each known by the digest of its secret; the secret is nowhere.
CREATE TABLE api_keys (
  key_id      TEXT PRIMARY KEY,
  tenant      TEXT NOT NULL REFERENCES tenants,
  scope       TEXT NOT NULL CHECK (scope IN ('read', 'submit', 'admin')),
  digest      TEXT NOT NULL CHECK (length(digest) = 64),
  created_at  TEXT NOT NULL,
  revoked_at  TEXT
) STRICT, WITHOUT ROWID;
