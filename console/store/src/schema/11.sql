-- Heads of endpoints' records as they were seen: by the desk itself, or by a person who countersigned
-- one and left the hello that proves it. Those that do not fit each other stay.

CREATE TABLE heads (
  endpoint TEXT NOT NULL,
  epoch    TEXT NOT NULL,
  counter  INTEGER NOT NULL,
  hash     TEXT NOT NULL,
  clock    INTEGER NOT NULL,
  seen     INTEGER NOT NULL,
  person   TEXT,
  envelope BLOB,
  hello    BLOB,
  doubted  INTEGER NOT NULL DEFAULT 0 CHECK (doubted IN (0, 1)),
  PRIMARY KEY (endpoint, epoch, counter, hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX heads_doubted ON heads (endpoint) WHERE doubted = 1;
