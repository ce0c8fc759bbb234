-- For which machine a code was asked, who set how long bodies are kept, what that is from when on, and who
-- had what erased.
ALTER TABLE codes ADD COLUMN endpoint TEXT;
ALTER TABLE retention ADD COLUMN set_by TEXT;
ALTER TABLE retention ADD COLUMN set_at INTEGER;
ALTER TABLE retention ADD COLUMN next_days INTEGER;
ALTER TABLE retention ADD COLUMN next_high INTEGER;
ALTER TABLE retention ADD COLUMN next_from INTEGER;

-- Without a ticket it was the rule, and `by_agent` who had set it.
CREATE TABLE erasures (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  ticket   TEXT,
  by_agent TEXT,
  at       INTEGER NOT NULL,
  runs     INTEGER NOT NULL,
  notes    INTEGER NOT NULL
) STRICT;
