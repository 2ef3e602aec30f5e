ALTER TABLE orders DROP COLUMN customer;
DROP TABLE customers;
