-- Alerts and their deliveries: queues of rows with many producers, not streams.

CREATE TABLE alerts (
    id          text PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9_-]+$'),
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

CREATE TABLE deliveries (
    id          text PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9_-]+$'),
    alert_id    text NOT NULL REFERENCES alerts (id),
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
    claim_epoch bigint NOT NULL DEFAULT 0
);

CREATE INDEX deliveries_by_alert ON deliveries (alert_id);
-- A lane is one severity of one destination; within it the longest due goes first.
CREATE INDEX deliveries_by_lane ON deliveries (severity, destination, due_at, id)
    WHERE state IN ('pending', 'retrying');
CREATE INDEX deliveries_by_due ON deliveries (due_at) WHERE state IN ('pending', 'retrying');
CREATE INDEX deliveries_by_episode ON deliveries (account, episode, step) WHERE episode IS NOT NULL;
CREATE INDEX deliveries_in_flight ON deliveries (claim_epoch) WHERE state = 'in_flight';

CREATE TABLE delivery_attempts (
    delivery_id text NOT NULL REFERENCES deliveries (id),
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
    PRIMARY KEY (delivery_id, attempt)
);
