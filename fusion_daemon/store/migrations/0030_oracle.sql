-- The oracle room. One writer: oracle_poller, who appends to the stream `prices`.

CREATE TABLE prices (
    seq          bigint         PRIMARY KEY,
    asset        text           NOT NULL,
    usd          numeric(78, 0) NOT NULL CHECK (usd > 0),       -- USD x 1e8 for one whole unit
    usd_low      numeric(78, 0) NOT NULL CHECK (usd_low > 0),
    usd_high     numeric(78, 0) NOT NULL,
    status       text           NOT NULL CHECK (status IN ('live', 'stale', 'suspect')),
    observed_at  bigint         NOT NULL,                       -- unix seconds, of the oldest reading used
    published_at bigint         NOT NULL,                       -- unix seconds
    reason       text           NOT NULL CHECK (reason IN ('first', 'status', 'deviation', 'heartbeat')),
    committed_at timestamptz    NOT NULL DEFAULT clock_timestamp(),
    sources      jsonb          NOT NULL,                       -- provenance: readings used, sources rejected
    CHECK (usd BETWEEN usd_low AND usd_high)
) PARTITION BY RANGE (seq);
CREATE INDEX prices_by_asset ON prices (asset, seq DESC);

COMMENT ON TABLE prices IS 'The stream `prices`: every published figure with what it rests on. Immutable.';

SELECT make_partitions('prices', 262144, 0);

CREATE FUNCTION make_price_partitions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM make_partitions('prices', 262144, NEW.head);
    RETURN NULL;
END
$$;
CREATE TRIGGER prices_grow AFTER UPDATE OF head ON streams
    FOR EACH ROW WHEN (NEW.head / 262144 <> OLD.head / 262144 AND NEW.name = 'prices')
    EXECUTE FUNCTION make_price_partitions();
