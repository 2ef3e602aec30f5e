CREATE TABLE customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
ALTER TABLE orders ADD COLUMN customer bigint REFERENCES customers (id);
