-- Orders that wait for their endpoint. The key signs the dispatch of this one order and nothing else;
-- its row goes when the order is sent, recalled or over.
CREATE TABLE waiting (
  run          TEXT PRIMARY KEY REFERENCES runs (id),
  order_digest TEXT NOT NULL REFERENCES orders (digest),
  endpoint     TEXT NOT NULL,
  seed         BLOB NOT NULL CHECK (length(seed) = 32),
  not_after    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX waiting_endpoint ON waiting (endpoint, run);
