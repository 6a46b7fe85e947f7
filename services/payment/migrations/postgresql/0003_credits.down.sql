ALTER TABLE refunds DROP COLUMN credit_id;
