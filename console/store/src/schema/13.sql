-- Where people are reached, and codes by which the desk finds out who is calling.

CREATE TABLE contacts (
  person  TEXT PRIMARY KEY,
  kind    TEXT NOT NULL,
  address TEXT NOT NULL,
  set_by  TEXT NOT NULL,
  set_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A code itself is nowhere: `mark` is a digest under a key that is not in this file, and is emptied when the
-- code has ended.
CREATE TABLE codes (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  ticket  TEXT NOT NULL,
  person  TEXT NOT NULL,
  agent   TEXT NOT NULL,
  script  TEXT NOT NULL,
  kind    TEXT NOT NULL,
  masked  TEXT NOT NULL,
  on_file INTEGER NOT NULL,
  nonce   BLOB NOT NULL,
  mark    TEXT NOT NULL,
  asked   INTEGER NOT NULL,
  until   INTEGER NOT NULL,
  tries   INTEGER NOT NULL,
  state   TEXT NOT NULL CHECK (state IN ('open', 'right', 'over', 'unsent')),
  said    INTEGER
) STRICT;
CREATE INDEX codes_ticket ON codes (ticket, agent, script, state);
CREATE INDEX codes_person ON codes (person, asked);
