CREATE TABLE erasure_jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    customer_id BLOB NOT NULL UNIQUE, -- one job per customer
    status TEXT NOT NULL,
    requested_at INTEGER NOT NULL,
    finished_at INTEGER
) STRICT;

-- What is to be done for a job, and what became of it: one row per service, this one included.
CREATE TABLE erasure_services (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id BLOB NOT NULL,
    service TEXT NOT NULL,
    status TEXT NOT NULL,
    attempts INTEGER NOT NULL, -- those that failed
    due_at INTEGER NOT NULL,
    failure TEXT, -- of the last attempt
    records INTEGER, -- how many the service made anonymous, if it said so
    done_at INTEGER,
    UNIQUE (job_id, service)
) STRICT;
CREATE INDEX erasure_services_due ON erasure_services (due_at, seq) WHERE status = 'PENDING';
