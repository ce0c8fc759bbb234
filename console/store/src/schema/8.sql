-- What an auditor asks: runs by the day, and whether an endpoint's records are all here. Both without
-- reading a long row.

CREATE INDEX runs_created ON runs (created, seq);
CREATE INDEX runs_complete ON runs (endpoint, epoch, counter) WHERE verified = 1;
