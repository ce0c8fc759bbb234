-- Orders that broke glass, by the name of the key; who has looked at one since, and when.
ALTER TABLE orders ADD COLUMN glass TEXT;
ALTER TABLE orders ADD COLUMN reviewed_by TEXT;
ALTER TABLE orders ADD COLUMN reviewed INTEGER;
CREATE INDEX orders_glass ON orders (digest) WHERE glass IS NOT NULL;
