-- A token that the shared desk admits with by itself: what goes on the card, and for how many machines.
ALTER TABLE tokens ADD COLUMN labels TEXT;
ALTER TABLE tokens ADD COLUMN person TEXT;
ALTER TABLE tokens ADD COLUMN places INTEGER CHECK (places > 0);
ALTER TABLE tokens ADD COLUMN taken INTEGER CHECK (taken BETWEEN 0 AND places);

-- Machines that came with a good token under a name that is taken: a person says which is meant.
CREATE TABLE held (
  name    TEXT PRIMARY KEY,
  host    TEXT NOT NULL,
  address TEXT NOT NULL,
  at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A name's history, whatever became of the machines that had it.
CREATE INDEX endpoints_ever ON endpoints (name, enrolled);
