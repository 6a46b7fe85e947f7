DROP TABLE product_tokens;
DROP TABLE product_index;
DROP TABLE product_skus;
