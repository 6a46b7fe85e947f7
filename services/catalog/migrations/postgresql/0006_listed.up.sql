CREATE INDEX product_index_by_category ON product_index (category_id, seq) WHERE NOT deleted;
