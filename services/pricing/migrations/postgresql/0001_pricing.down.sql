DROP TABLE currency_rates;
DROP TABLE promotion_redemptions;
DROP TABLE promotion_campaigns;
DROP TABLE price_rule_skus;
DROP TABLE price_rules;
DROP TABLE price_book_entries;
DROP TABLE price_books;
