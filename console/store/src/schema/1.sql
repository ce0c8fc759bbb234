-- Version 1. Times are seconds since 1970 (UTC); ids, names and digests are their one text form.
-- Envelopes are kept byte for byte: a seal covers bytes, never our reading of them.

CREATE TABLE counters (
  name  TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE endpoints (
  id           TEXT PRIMARY KEY,
  name         TEXT NOT NULL,
  card         BLOB NOT NULL,
  address      TEXT,
  person       TEXT,
  labels       TEXT NOT NULL,
  host         TEXT,
  platform     TEXT,
  enrolled     INTEGER NOT NULL,
  last_seen    INTEGER,
  versions     TEXT,
  head_epoch   TEXT,
  head_counter INTEGER,
  head_hash    TEXT,
  daemon       TEXT,
  state        TEXT NOT NULL CHECK (state IN ('active', 'withdrawn', 'replaced'))
) STRICT, WITHOUT ROWID;
-- A name may come back after its machine was withdrawn; an id never does.
CREATE UNIQUE INDEX endpoints_name ON endpoints (name) WHERE state = 'active';

CREATE INDEX endpoints_listed ON endpoints (state, name, id);

CREATE TABLE agents (
  name        TEXT PRIMARY KEY,
  document    BLOB,
  certificate BLOB,
  since       INTEGER NOT NULL,
  state       TEXT NOT NULL CHECK (state IN ('invited', 'joined', 'withdrawn'))
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
  secret  TEXT PRIMARY KEY,
  kind    TEXT NOT NULL CHECK (kind IN ('endpoint', 'agent')),
  name    TEXT NOT NULL,
  made    INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  used    INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE tickets (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  key            TEXT NOT NULL UNIQUE,
  subject        TEXT NOT NULL,
  body           TEXT NOT NULL,
  state          TEXT NOT NULL CHECK (state IN ('open', 'pending', 'resolved', 'closed')),
  kind           TEXT NOT NULL CHECK (kind IN ('incident', 'request', 'change')),
  category       TEXT,
  channel        TEXT NOT NULL,
  requester      TEXT,
  assignee       TEXT,
  endpoint       TEXT REFERENCES endpoints (id),
  opened         INTEGER NOT NULL,
  first_response INTEGER,
  resolved       INTEGER,
  closed         INTEGER,
  reopened       INTEGER,
  reopens        INTEGER NOT NULL DEFAULT 0,
  contacts       INTEGER NOT NULL DEFAULT 1,
  blocked        INTEGER NOT NULL DEFAULT 0,
  blocked_since  INTEGER,
  satisfaction   INTEGER CHECK (satisfaction BETWEEN 1 AND 5)
) STRICT;
CREATE INDEX tickets_state ON tickets (state, id);

CREATE TABLE notes (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  ticket   INTEGER NOT NULL REFERENCES tickets (id),
  key      TEXT NOT NULL UNIQUE,
  audience TEXT NOT NULL CHECK (audience IN ('internal', 'public')),
  author   TEXT,
  body     TEXT NOT NULL,
  posted   INTEGER NOT NULL
) STRICT;
CREATE INDEX notes_ticket ON notes (ticket, id);

CREATE TABLE files (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  ticket   INTEGER NOT NULL REFERENCES tickets (id),
  key      TEXT NOT NULL UNIQUE,
  audience TEXT NOT NULL CHECK (audience IN ('internal', 'public')),
  name     TEXT NOT NULL,
  media    TEXT NOT NULL,
  digest   TEXT NOT NULL,
  bytes    BLOB NOT NULL,
  added    INTEGER NOT NULL
) STRICT;
CREATE INDEX files_ticket ON files (ticket, id);

CREATE TABLE orders (
  digest   TEXT PRIMARY KEY,
  id       TEXT NOT NULL,
  script   TEXT NOT NULL,
  version  INTEGER NOT NULL,
  mode     TEXT NOT NULL,
  agent    TEXT NOT NULL,
  ticket   TEXT,
  envelope BLOB NOT NULL,
  support  BLOB,
  state    TEXT NOT NULL CHECK (state IN ('open', 'ended', 'not_sent')),
  created  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX orders_id ON orders (id);
CREATE INDEX orders_ticket ON orders (ticket);

-- No foreign key to orders or endpoints: a record that belongs to nothing we know is kept and shown
-- as NOT VERIFIED, never thrown away.
CREATE TABLE runs (
  seq          INTEGER PRIMARY KEY AUTOINCREMENT,
  id           TEXT NOT NULL UNIQUE,
  order_digest TEXT NOT NULL,
  endpoint     TEXT NOT NULL,
  state        TEXT NOT NULL CHECK (state IN ('prepared', 'sent', 'accepted', 'ended', 'not_sent',
                                              'not_taken')),
  dispatch     BLOB,
  sent_epoch   TEXT,
  sent_counter INTEGER,
  outcome      TEXT,
  record       BLOB,
  record_hash  TEXT,
  epoch        TEXT,
  counter      INTEGER,
  effects      BLOB,
  plan         BLOB,
  card         BLOB,
  verified     INTEGER,
  reason       TEXT,
  created      INTEGER NOT NULL,
  ended        INTEGER,
  filed        INTEGER
) STRICT;
CREATE INDEX runs_order ON runs (order_digest);
CREATE INDEX runs_chain ON runs (endpoint, epoch, counter);
CREATE INDEX runs_endpoint ON runs (endpoint, seq);
CREATE INDEX runs_unanswered ON runs (seq) WHERE state IN ('prepared', 'sent', 'accepted');

-- A second, different record for a run that has one: evidence that something is wrong.
CREATE TABLE strays (
  run         TEXT NOT NULL REFERENCES runs (id),
  record_hash TEXT NOT NULL,
  record      BLOB NOT NULL,
  reason      TEXT NOT NULL,
  received    INTEGER NOT NULL,
  PRIMARY KEY (run, record_hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE escrow (
  run          TEXT PRIMARY KEY REFERENCES runs (id),
  order_digest TEXT NOT NULL,
  sealed       BLOB NOT NULL,
  not_after    INTEGER NOT NULL,
  opened_at    INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
  seq          INTEGER PRIMARY KEY AUTOINCREMENT,
  key          TEXT NOT NULL UNIQUE,
  ticket       TEXT NOT NULL,
  kind         TEXT NOT NULL CHECK (kind IN ('note', 'file', 'state', 'reply')),
  payload      TEXT,
  state        TEXT NOT NULL CHECK (state IN ('waiting', 'due', 'posted', 'dropped')),
  tries        INTEGER NOT NULL DEFAULT 0,
  next_try     INTEGER NOT NULL,
  last_error   TEXT,
  order_digest TEXT,
  created      INTEGER NOT NULL,
  posted_at    INTEGER
) STRICT;
CREATE INDEX outbox_todo ON outbox (ticket, seq) WHERE state IN ('waiting', 'due');
