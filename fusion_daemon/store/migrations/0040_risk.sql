-- The risk room. One writer, the risk_calculator.

-- The stream `margin_events`. Integers in the JSON columns are decimal strings: USD x 1e8, health factors wad.
CREATE TABLE margin_events (
    seq         bigint         PRIMARY KEY,
    account     text           COLLATE "C" NOT NULL,
    episode     bigint         NOT NULL,
    step        bigint         NOT NULL,
    kind        text           NOT NULL CHECK (kind IN (
                    'opened', 'worsened', 'improved', 'resolved', 'corrected', 'reinstated')),
    before      smallint       NOT NULL,  -- 0 healthy, 1 warning, 2 margin call, 3 liquidation
    after       smallint       NOT NULL,
    cause       text           NOT NULL CHECK (cause IN (
                    'price', 'chain', 'reorg', 'interest', 'configuration', 'registry')),
    confirmed   boolean        NOT NULL,
    past        boolean        NOT NULL,
    figures     jsonb          NOT NULL,
    health_low  numeric(78, 0),
    health_high numeric(78, 0),
    inputs      jsonb          NOT NULL,
    at          bigint         NOT NULL,  -- unix seconds: the time at which it was evaluated
    recorded_at timestamptz    NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (account, episode, step)
);

-- The last standing of every account that ever left HEALTHY; moved in the transaction of its events.
CREATE TABLE margin_states (
    account   text     COLLATE "C" PRIMARY KEY,
    state     smallint NOT NULL,
    episode   bigint   NOT NULL,
    step      bigint   NOT NULL,
    causes    jsonb    NOT NULL,  -- [[chain, block], …]: what of this episode a chain caused and no reorg withdrew
    withdrawn jsonb    NOT NULL   -- [[chain, tip], …]: what reorgs withdrew in this episode, one a chain
);

-- The configuration under which every account was last evaluated.
CREATE TABLE risk_configuration (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    fingerprint text    NOT NULL
);
