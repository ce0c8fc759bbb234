-- Orders that ask other people, and their answers. An answer is a sealed document; who reads it verifies it.

CREATE TABLE requests (
  order_digest TEXT PRIMARY KEY,
  agent        TEXT NOT NULL,
  script       TEXT NOT NULL,
  endpoint     TEXT NOT NULL,
  ticket       TEXT,
  envelope     BLOB NOT NULL,
  plan         BLOB NOT NULL,
  plan_run     TEXT NOT NULL,
  wanted       INTEGER NOT NULL,
  asked        INTEGER NOT NULL,
  not_after    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX requests_agent ON requests (agent);

CREATE TABLE approvals (
  order_digest TEXT NOT NULL REFERENCES requests (order_digest) ON DELETE CASCADE,
  person       TEXT NOT NULL,
  yes          INTEGER NOT NULL CHECK (yes IN (0, 1)),
  envelope     BLOB NOT NULL,
  at           INTEGER NOT NULL,
  PRIMARY KEY (order_digest, person)
) STRICT, WITHOUT ROWID;
