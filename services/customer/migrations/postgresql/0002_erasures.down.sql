DROP TABLE erasure_services;
DROP TABLE erasure_jobs;
