DROP TABLE reservations;
DROP TABLE movements;
DROP TABLE stock;
