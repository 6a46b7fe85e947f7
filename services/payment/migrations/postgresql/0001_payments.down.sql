DROP TABLE ledger_lines;
DROP TABLE ledger_postings;
DROP FUNCTION ledger_refuses;
DROP TABLE refunds;
DROP TABLE payment_transitions;
DROP TABLE payment_attempts;
DROP TABLE payments;
