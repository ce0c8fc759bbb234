-- The sealed answers that an order was sent with, for whoever judges it later.

CREATE TABLE order_approvals (
  order_digest TEXT NOT NULL REFERENCES orders (digest),
  place        INTEGER NOT NULL,
  envelope     BLOB NOT NULL,
  PRIMARY KEY (order_digest, place)
) STRICT, WITHOUT ROWID;
