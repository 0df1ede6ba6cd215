-- Alerts and their deliveries: queues of rows with many producers, not streams.

CREATE TABLE alerts (
    id          text PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9_-]+$'),
    -- In order of acceptance, with gaps; what deliveries are partitioned by.
    number      bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    type        text NOT NULL,
    severity    smallint NOT NULL CHECK (severity BETWEEN 0 AND 2),
    account     text,
    episode     bigint,
    step        integer,
    occurred_at timestamptz NOT NULL,
    accepted_at timestamptz NOT NULL,
    summary     text NOT NULL,
    -- json, not jsonb: what is sent and signed are these very bytes.
    data        json NOT NULL,
    -- accepted: the dispatcher has yet to make its deliveries. routed: they are made.
    -- unaddressed: nobody is configured to be told.
    state       text NOT NULL CHECK (state IN ('accepted', 'routed', 'unaddressed'))
);

CREATE INDEX alerts_to_route ON alerts (accepted_at) WHERE state = 'accepted';
CREATE INDEX alerts_by_time ON alerts (accepted_at DESC, id DESC);
CREATE INDEX alerts_by_account ON alerts (account, accepted_at DESC, id DESC) WHERE account IS NOT NULL;
-- Has an earlier step of this episode been a critical one? Then people were told, and are told on.
CREATE INDEX alerts_escalated ON alerts (account, episode) WHERE severity = 2 AND episode IS NOT NULL;

-- Deliveries and attempts are partitioned by the number of their alert, which therefore is part of their keys.
-- An alert has one number for ever, so (id, alert_number) is unique exactly when the id is, and accepting an
-- alert again still makes no second delivery. There are no foreign keys: dropping a partition would have to
-- lock the tables at both ends. Deliveries are made by a join with their alerts, attempts in the transaction
-- that moves their delivery, and `fusion-daemon db verify` looks at both.

CREATE TABLE deliveries (
    id          text NOT NULL CHECK (id ~ '^[A-Za-z0-9_-]+$'),
    alert_id    text NOT NULL,
    alert_number bigint NOT NULL,
    receiver    text NOT NULL,
    channel     text NOT NULL CHECK (channel IN ('webhook', 'email')),
    target      text NOT NULL,
    -- A digest: targets may be long, and may be secret.
    destination text NOT NULL,
    secret_name text,
    severity    smallint NOT NULL,
    -- The alert's, repeated: what keeps the steps of an episode in order for one receiver.
    account     text,
    episode     bigint,
    step        integer,
    -- superseded: the receiver has a later step of the episode, and an old one would now mislead.
    state       text NOT NULL CHECK (state IN (
                    'pending', 'in_flight', 'retrying', 'delivered', 'accepted', 'rejected', 'exhausted',
                    'superseded')),
    created_at  timestamptz NOT NULL,
    -- When it may next be claimed; for one in flight, when it was claimed; for one that has ended, when it ended.
    due_at      timestamptz NOT NULL,
    attempts    integer NOT NULL DEFAULT 0,
    -- How many of them the daemon did not live to see the end of: those use up no retry.
    interruptions integer NOT NULL DEFAULT 0,
    claim_epoch bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (id, alert_number)
) PARTITION BY RANGE (alert_number);

CREATE INDEX deliveries_by_alert ON deliveries (alert_id);
-- A lane is one severity of one destination; within it the longest due goes first.
CREATE INDEX deliveries_by_lane ON deliveries (severity, destination, due_at, id)
    WHERE state IN ('pending', 'retrying');
CREATE INDEX deliveries_by_due ON deliveries (due_at) WHERE state IN ('pending', 'retrying');
CREATE INDEX deliveries_by_episode ON deliveries (account, episode, step) WHERE episode IS NOT NULL;
CREATE INDEX deliveries_in_flight ON deliveries (claim_epoch) WHERE state = 'in_flight';

CREATE TABLE delivery_attempts (
    delivery_id text NOT NULL,
    alert_number bigint NOT NULL,
    attempt     integer NOT NULL,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    -- interrupted: the daemon stopped before the answer was recorded; it may have arrived.
    outcome     text NOT NULL CHECK (outcome IN (
                    'delivered', 'accepted', 'throttled', 'failed', 'ambiguous', 'rejected', 'interrupted')),
    code        integer,
    latency_ms  double precision,
    detail      text NOT NULL,
    next_due_at timestamptz,
    PRIMARY KEY (delivery_id, attempt, alert_number)
) PARTITION BY RANGE (alert_number);

SELECT make_partitions('deliveries', 65536, 0), make_partitions('delivery_attempts', 65536, 0);

-- Per statement, not per row: one look into the catalogue for a batch.
CREATE FUNCTION make_delivery_partitions() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    newest bigint := (SELECT last_value FROM alerts_number_seq);
BEGIN
    PERFORM make_partitions('deliveries', 65536, newest), make_partitions('delivery_attempts', 65536, newest);
    RETURN NULL;
END
$$;
CREATE TRIGGER deliveries_grow AFTER INSERT ON alerts
    FOR EACH STATEMENT EXECUTE FUNCTION make_delivery_partitions();
