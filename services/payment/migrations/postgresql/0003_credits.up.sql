-- The credit that a refund is for; null for those that somebody asked for and for the PSP's own.
ALTER TABLE refunds ADD COLUMN credit_id uuid;
