-- What was erased of runs, by the rule or on a person's request: digests and records stay. And the rule.

ALTER TABLE runs ADD COLUMN erased INTEGER;
ALTER TABLE runs ADD COLUMN erased_by TEXT CHECK (erased_by IN ('rule', 'request'));
ALTER TABLE notes ADD COLUMN erased INTEGER;
CREATE INDEX runs_not_erased ON runs (created) WHERE erased IS NULL;
CREATE INDEX notes_not_erased ON notes (posted) WHERE erased IS NULL;

CREATE TABLE retention (
  one       INTEGER PRIMARY KEY CHECK (one = 1),
  days      INTEGER NOT NULL,
  high_days INTEGER NOT NULL,
  done      INTEGER
) STRICT;
