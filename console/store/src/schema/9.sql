-- Until when a copy of an order with the key of its dispatch may be out in a file. Whether it was used
-- there only its endpoint knows: such a run is never counted as not sent.
ALTER TABLE runs ADD COLUMN carried INTEGER;
