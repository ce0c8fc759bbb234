-- How endpoints stand to the desk, page by page, without reading a long row.
CREATE INDEX endpoints_standing ON endpoints (state, id, name, enrolled, versions);
