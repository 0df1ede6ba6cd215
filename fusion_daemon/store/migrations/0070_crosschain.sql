-- The crosschain room. One writer: message_tracker. Everything below moves in one transaction with the cursors of
-- the journals that it was folded from.
--
-- message_evidence  what the chains showed, one row a log (and part of a log): immutable but for `canonical`, which
--                   a reorg takes away and a block that comes back gives again. The tracker's state is a function of
--                   the canonical rows, and is rebuilt from them at its start.
-- messages          how each message stands: a projection for people and other rooms, rewritten with each change and
--                   when other evidence says the same.
-- message_changes   the stream `messages`: what changed, in order, with the evidence that did it.

CREATE TABLE message_evidence (
    chain_id     bigint  NOT NULL,
    block_hash   bytea   NOT NULL,
    log_index    integer NOT NULL,   -- negative: a reverted transaction, which leaves no log
    part         integer NOT NULL,
    block_number bigint  NOT NULL,
    evidence     bytea   NOT NULL,   -- msgpack
    canonical    boolean NOT NULL,
    PRIMARY KEY (chain_id, block_hash, log_index, part)
);
CREATE INDEX message_evidence_retracted ON message_evidence (chain_id, block_number) WHERE NOT canonical;

CREATE TABLE messages (
    id          bytea       PRIMARY KEY CHECK (octet_length(id) = 32),
    state       text        NOT NULL,
    progress    text,                 -- how far it came, whatever the clock or a missing source make of it
    stage       text,                 -- what it waits for; null: nothing more to come
    flags       text[]      NOT NULL,
    bridge      text,
    source      bigint,               -- chain ids, as the envelope says them; null: no envelope was seen
    destination bigint,
    kind        smallint,
    account     bytea,
    asset       bytea,
    amount      numeric(78, 0),
    standing    bytea       NOT NULL, -- msgpack
    timeline    jsonb       NOT NULL, -- its evidence, oldest first
    sent_at     timestamptz,          -- of the source's block
    changed_at  timestamptz NOT NULL, -- the tracker's time at the last change
    changes     bigint      NOT NULL  -- the last entry of the stream that is about it
) WITH (fillfactor = 70);
CREATE INDEX messages_by_change ON messages (changes DESC);
CREATE INDEX messages_by_state ON messages (state, changes DESC);
CREATE INDEX messages_by_account ON messages (account, changes DESC) WHERE account IS NOT NULL;

CREATE TABLE message_changes (
    seq        bigint      PRIMARY KEY,
    message    bytea       NOT NULL,
    before     text,                  -- null: it is new
    after      text,                  -- null: nothing of it is left
    flags      text[]      NOT NULL,
    cause      text        NOT NULL CHECK (cause IN ('chain', 'reorg', 'time', 'operator')),
    evidence   jsonb       NOT NULL,  -- the places that decide the new state, and those that a reorg took away
    at         timestamptz NOT NULL
);
CREATE INDEX message_changes_by_message ON message_changes (message, seq);

-- What is remembered of messages that ended for good, in the place of evidence that is kept no longer; see
-- `fusion_daemon/crosschain/closing.py`. The messages themselves and their changes are the record, and stay for ever.
CREATE TABLE closed_messages (
    message  bytea PRIMARY KEY,
    closed   bytea NOT NULL,   -- msgpack
    timeline jsonb NOT NULL    -- of the evidence that is gone: what comes later is shown after it
);

-- Logs of the bridges' contracts that are not as their events declare: counted, never fatal. Anybody can write them,
-- so the oldest go by age, and by number.
CREATE TABLE unreadable_message_logs (
    chain_id   bigint  NOT NULL,
    block_hash bytea   NOT NULL,
    log_index  integer NOT NULL,
    event      text    NOT NULL,
    why        text    NOT NULL,
    number     bigint  GENERATED ALWAYS AS IDENTITY UNIQUE,
    noted_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (chain_id, block_hash, log_index)
);

-- Messages whose source a reorg took away: the source as it last was. So REORGED_OUT outlives a restart.
CREATE TABLE lost_messages (
    message  bytea PRIMARY KEY,
    evidence bytea NOT NULL
);

-- By an operator's word, which the audit trail holds too.
CREATE TABLE abandoned_messages (
    message bytea PRIMARY KEY
);

-- The highest final block of each chain that the tracker has folded: what is final in `messages` is final by it.
CREATE TABLE message_finality (
    chain_id  bigint PRIMARY KEY,
    finalized bigint NOT NULL
);

-- The unix second for which the tracker last told a change. While it catches up its time is that of the blocks, but
-- never before this: what was told to be late does not become early again.
CREATE TABLE message_time (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    told_at  bigint NOT NULL
);
