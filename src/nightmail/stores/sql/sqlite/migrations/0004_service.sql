-- What a service on the home needs: whose a run is.

ALTER TABLE runs ADD COLUMN tenant TEXT GENERATED ALWAYS AS (json_extract(spec, '$.tenant')) VIRTUAL;

CREATE INDEX runs_by_tenant ON runs (tenant, run_no);
