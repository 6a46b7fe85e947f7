-- In the words of the query, which PostgreSQL understands too: there `deleted` is no number.
DROP INDEX product_index_by_category;
CREATE INDEX product_index_by_category ON product_index (category_id, seq) WHERE NOT deleted;
