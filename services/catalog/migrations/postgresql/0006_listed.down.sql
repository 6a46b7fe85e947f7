DROP INDEX product_index_by_category;
