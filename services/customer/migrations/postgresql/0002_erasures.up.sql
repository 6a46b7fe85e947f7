CREATE TABLE erasure_jobs (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL UNIQUE,
    customer_id uuid NOT NULL UNIQUE, -- one job per customer
    status text COLLATE "C" NOT NULL,
    requested_at timestamptz NOT NULL,
    finished_at timestamptz
);

-- What is to be done for a job, and what became of it: one row per service, this one included.
CREATE TABLE erasure_services (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id uuid NOT NULL,
    service text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    attempts bigint NOT NULL, -- those that failed
    due_at timestamptz NOT NULL,
    failure text COLLATE "C", -- of the last attempt
    records bigint, -- how many the service made anonymous, if it said so
    done_at timestamptz,
    UNIQUE (job_id, service)
);
CREATE INDEX erasure_services_due ON erasure_services (due_at, seq) WHERE status = 'PENDING';
