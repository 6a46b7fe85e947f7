DROP TABLE customer_segments;
DROP TABLE customer_addresses;
DROP TABLE customer_profiles;
