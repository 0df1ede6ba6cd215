-- Transactions that the daemon sends: a queue of rows with many producers and one sender.

CREATE TABLE transactions (
    id          text PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9._:-]{1,128}$'),
    -- In order of proposal, with gaps.
    number      bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    chain_id    bigint NOT NULL,
    signer      bytea NOT NULL CHECK (length(signer) = 20),
    recipient   bytea NOT NULL CHECK (length(recipient) = 20),
    data        bytea NOT NULL,
    value       numeric(78, 0) NOT NULL CHECK (value >= 0),
    gas_cap     bigint NOT NULL CHECK (gas_cap > 0),
    -- The least gas that it is given, whatever its simulation needed: a call that catches its own want of gas goes
    -- through with too little of it.
    gas_floor   bigint NOT NULL DEFAULT 0 CHECK (gas_floor >= 0 AND gas_floor <= gas_cap),
    fee_cap     numeric(78, 0) NOT NULL CHECK (fee_cap > 0),
    purpose     text NOT NULL,
    asset       text NOT NULL,
    amount      numeric(78, 0) NOT NULL CHECK (amount >= 0),
    proposer    text NOT NULL,
    -- Of all of the above: the same id with another digest is a conflict, not a retry.
    digest      bytea NOT NULL,
    proposed_at timestamptz NOT NULL,
    deadline    timestamptz,
    state       text NOT NULL CHECK (state IN (
                    'proposed', 'approved', 'signed', 'sent', 'mined', 'final', 'refused', 'reverted', 'replaced',
                    'expired', 'cancelled', 'failed')),
    reason      text NOT NULL DEFAULT '',
    -- How many steps are on record. Every change names the number that it has seen.
    steps       integer NOT NULL DEFAULT 1,
    changed_at  timestamptz NOT NULL,
    -- Since when it counts against the day's limits.
    approved_at timestamptz,
    nonce       bigint,
    -- It is being called off, and ends so unless it is mined first.
    ending      text CHECK (ending IN ('cancelled', 'expired')),
    suspected_at bigint,
    renonced    integer NOT NULL DEFAULT 0,
    -- The most wei of gas that what is signed may cost.
    gas_cost    numeric(78, 0) NOT NULL DEFAULT 0,
    mined_hash  bytea,
    block_number bigint,
    block_hash  bytea,
    succeeded   boolean,
    gas_used    bigint,
    gas_price   numeric(78, 0),
    CHECK (state NOT IN ('signed', 'sent', 'mined') OR nonce IS NOT NULL)
);

-- The law of nonces, kept by the database too: no two that live hold the same one.
CREATE UNIQUE INDEX transactions_live_nonce ON transactions (chain_id, signer, nonce)
    WHERE state IN ('signed', 'sent', 'mined');
CREATE INDEX transactions_open ON transactions (number)
    WHERE state IN ('proposed', 'approved', 'signed', 'sent', 'mined');
CREATE INDEX transactions_ended ON transactions (changed_at)
    WHERE state NOT IN ('proposed', 'approved', 'signed', 'sent', 'mined');
CREATE INDEX transactions_spent ON transactions (approved_at) WHERE approved_at IS NOT NULL;
CREATE INDEX transactions_by_nonce ON transactions (chain_id, signer, nonce DESC) WHERE nonce IS NOT NULL;

-- What was done about a transaction and what was seen of it: only ever added to.
CREATE TABLE transaction_steps (
    transaction_id text NOT NULL REFERENCES transactions (id),
    step        integer NOT NULL,
    -- Of the sender's life that took it; 0: a producer's or an operator's.
    epoch       bigint NOT NULL DEFAULT 0,
    at          timestamptz NOT NULL,
    kind        text NOT NULL,
    state       text NOT NULL,
    detail      text NOT NULL DEFAULT '',
    -- Of raw bytes that were signed in it, before anybody heard of them.
    raw         bytea,
    void        boolean,
    nonce       bigint,
    gas         bigint,
    max_fee     numeric(78, 0),
    tip         numeric(78, 0),
    -- What it is about: a transaction's hash on its chain, a node's answer, a block.
    hash        bytea,
    answer      text,
    block_number bigint,
    block_hash  bytea,
    PRIMARY KEY (transaction_id, step)
);

CREATE TABLE transaction_approvals (
    transaction_id text NOT NULL REFERENCES transactions (id),
    principal   text NOT NULL,
    at          timestamptz NOT NULL,
    PRIMARY KEY (transaction_id, principal)
);
