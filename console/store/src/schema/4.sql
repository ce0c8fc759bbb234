-- Who is here, and how machines are. Beside the address
-- book and not in it: these are written often, and its rows are long.

CREATE TABLE presence (
  endpoint TEXT PRIMARY KEY REFERENCES endpoints (id),
  seen     INTEGER NOT NULL,
  -- A line is up, told again before this; so a desk that was killed leaves nobody here for long.
  here     INTEGER NOT NULL DEFAULT 0,
  way      TEXT CHECK (way IN ('kept', 'dialled'))
) STRICT, WITHOUT ROWID;
INSERT INTO presence (endpoint, seen) SELECT id, last_seen FROM endpoints WHERE last_seen IS NOT NULL;
ALTER TABLE endpoints DROP COLUMN last_seen;

-- Holds all that a list shows of an endpoint, so that no list reads its long row.
DROP INDEX endpoints_listed;
CREATE INDEX endpoints_listed ON endpoints (state, name, id, person, host, address, labels, enrolled);

CREATE TABLE consoles (
  agent TEXT PRIMARY KEY,
  seen  INTEGER NOT NULL,
  here  INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE health (
  endpoint TEXT PRIMARY KEY REFERENCES endpoints (id),
  looked   INTEGER NOT NULL,
  level    TEXT NOT NULL CHECK (level IN ('bad', 'watch', 'unknown', 'good')),
  words    TEXT NOT NULL
) STRICT, WITHOUT ROWID;
