DROP TABLE product_quarantine;
DROP TABLE product_published;
DROP TABLE feed_progress;
