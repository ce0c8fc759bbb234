-- Facts: what a machine last said of itself, whole; and who was signed in, for lists.

CREATE TABLE facts (
  endpoint TEXT PRIMARY KEY REFERENCES endpoints (id),
  run      TEXT NOT NULL,
  looked   INTEGER NOT NULL,
  bytes    BLOB NOT NULL
) STRICT;

CREATE TABLE signed_in (
  endpoint TEXT NOT NULL REFERENCES endpoints (id),
  person   TEXT NOT NULL,
  looked   INTEGER NOT NULL,
  PRIMARY KEY (endpoint, person)
) STRICT, WITHOUT ROWID;
