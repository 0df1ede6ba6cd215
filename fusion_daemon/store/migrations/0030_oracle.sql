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
);
CREATE INDEX prices_by_asset ON prices (asset, seq DESC);

COMMENT ON TABLE prices IS 'The stream `prices`: every published figure with what it rests on. Immutable.';
