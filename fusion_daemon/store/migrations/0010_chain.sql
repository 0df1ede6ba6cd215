-- The chain room. One writer per chain (its chain_listener), everything below in one transaction per step.
--
-- What other rooms may read, and how:
--
-- chain_journal   the stream `journal:<chain_id>`; what consumers fold, in order of seq.
-- positions       sums over the journal up to the stream's head: chain_id, vault (20 bytes), owner (20 bytes),
--                 token (20 bytes; 20 x 0xee = native), side 'collateral' (token base units) | 'debt' (scaled
--                 units: debt(t) = ceil(amount x borrow index(t) / 1e27)), amount. A row may stand at 0.
-- chain_registers every value of the canonical chain's registers, newest last by (block_number, log_index):
--                   kind 'index'  subject = token: borrow_index (ray), borrow_rate (ray per second), effective_at
--                   kind 'asset'  subject = token: decimals, ltv_bps, liquidation_threshold_bps
--                   kind 'credit' subject = owner: credit_limit (USD x 1e8)
--                 The value in force:
--                   SELECT DISTINCT ON (chain_id, vault, kind, subject) * FROM chain_registers
--                   ORDER BY chain_id, vault, kind, subject, block_number DESC, log_index DESC
-- chain_state     one row per chain: where the listener stands and how the chain is.
-- chain_audits    up to where final blocks were compared with what other endpoints say, per filter version;
--                 chain_differences says where they have other logs than those that are stored.
-- chain_coverage  of which canonical blocks the logs were read, per filter version; chain_contracts says of whom.
-- chain_orders and chain_skips are what operators ordered about a chain's history, and what came of it.
--
-- chain_blocks and chain_logs are the evidence: chain_logs is immutable, but for a log that nobody could decode when it
-- was stored (args is null) and that a repair decodes. A block's canonical flag is for people
-- and audits (consumers fold the journal and never read it).
--
-- The three of them are partitioned by chain and number, so that retention drops them together. A partition's
-- number has to be part of every key, so chain_blocks and chain_logs have the block's number at the end of
-- theirs; it adds nothing to what is unique, since a hash has one number. Who looks a hash up says the number
-- too, or every partition is searched.

CREATE TABLE chain_blocks (
    chain_id    bigint  NOT NULL,
    hash        bytea   NOT NULL CHECK (octet_length(hash) = 32),
    number      bigint  NOT NULL,
    parent_hash bytea   NOT NULL,
    timestamp   bigint  NOT NULL,  -- unix seconds, the block's own
    canonical   boolean NOT NULL,
    PRIMARY KEY (chain_id, hash, number)
) PARTITION BY RANGE (chain_id, number);
CREATE UNIQUE INDEX chain_blocks_canonical ON chain_blocks (chain_id, number) WHERE canonical;
CREATE INDEX chain_blocks_orphaned ON chain_blocks (chain_id, number) WHERE NOT canonical;

-- No foreign key to chain_blocks: its trigger would double the price of a row, and block and logs are
-- written by the same transaction.
CREATE TABLE chain_logs (
    chain_id          bigint  NOT NULL,
    block_hash        bytea   NOT NULL,
    log_index         integer NOT NULL,
    block_number      bigint  NOT NULL,
    transaction_hash  bytea   NOT NULL,
    transaction_index integer NOT NULL,
    address           bytea   NOT NULL,
    topics            bytea[] NOT NULL,
    data              bytea   NOT NULL,
    name              text,             -- of the event; null when no ABI of ours knows its topic
    args              jsonb,            -- integers as decimal strings, octets as 0x hex; null = undecodable
    since             bigint  NOT NULL, -- the journal entry that applied it first: those before lack it
    PRIMARY KEY (chain_id, block_hash, log_index, block_number)
) PARTITION BY RANGE (chain_id, block_number);

-- Few: what nobody could decode, or no ABI of ours knows.
CREATE INDEX chain_logs_undecoded ON chain_logs (chain_id, block_number) WHERE args IS NULL;

CREATE TABLE chain_journal (
    seq            bigint  NOT NULL,
    chain_id       bigint  NOT NULL,
    op             text    NOT NULL CHECK (op IN ('apply', 'retract')),
    block_hash     bytea   NOT NULL,
    block_number   bigint  NOT NULL,
    filter_version integer NOT NULL,
    settles        boolean NOT NULL,    -- false inside a reorg: fold, but do not evaluate yet
    PRIMARY KEY (chain_id, seq)
) PARTITION BY RANGE (chain_id, seq);
-- 0: a repair of final blocks, whole within its commit, so that nobody looks for half of one.
CREATE INDEX chain_journal_late ON chain_journal (chain_id, seq) WHERE filter_version > 1;

CREATE FUNCTION make_journal_partitions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM make_partitions('chain_journal', 262144, NEW.head, split_part(NEW.name, ':', 2)::bigint);
    RETURN NULL;
END
$$;
CREATE TRIGGER journal_begins AFTER INSERT ON streams
    FOR EACH ROW WHEN (NEW.name ~ '^journal:[0-9]+$') EXECUTE FUNCTION make_journal_partitions();
CREATE TRIGGER journal_grows AFTER UPDATE OF head ON streams
    FOR EACH ROW WHEN (NEW.head / 262144 <> OLD.head / 262144 AND NEW.name ~ '^journal:[0-9]+$')
    EXECUTE FUNCTION make_journal_partitions();

CREATE TABLE positions (
    chain_id bigint         NOT NULL,
    vault    bytea          NOT NULL,
    owner    bytea          NOT NULL,
    token    bytea          NOT NULL,
    side     text           NOT NULL CHECK (side IN ('collateral', 'debt')),
    amount   numeric(78, 0) NOT NULL,
    PRIMARY KEY (chain_id, vault, owner, token, side)
) WITH (fillfactor = 70);  -- updated in place, so that neither index grows
CREATE INDEX positions_owner ON positions (chain_id, owner);

-- Derived from the logs: a retract deletes its block's rows, an apply inserts them (again).
CREATE TABLE chain_registers (
    chain_id                  bigint  NOT NULL,
    block_hash                bytea   NOT NULL,
    log_index                 integer NOT NULL,
    block_number              bigint  NOT NULL,
    kind                      text    NOT NULL CHECK (kind IN ('index', 'asset', 'credit')),
    vault                     bytea   NOT NULL,
    subject                   bytea   NOT NULL,
    borrow_index              numeric(78, 0),
    borrow_rate               numeric(78, 0),
    effective_at              numeric(78, 0),
    decimals                  integer,
    ltv_bps                   integer,
    liquidation_threshold_bps integer,
    credit_limit              numeric(78, 0),
    PRIMARY KEY (chain_id, block_hash, log_index)
);
CREATE INDEX chain_registers_in_force
    ON chain_registers (chain_id, vault, kind, subject, block_number DESC, log_index DESC);

CREATE TABLE chain_state (
    chain_id    bigint      PRIMARY KEY,
    start_block bigint      NOT NULL,   -- the first block that is read
    tip_number  bigint,                 -- the last canonical block stored; null: none yet
    tip_hash    bytea,
    head        bigint,                 -- as the chain's tags said at the last commit
    safe        bigint,                 -- null: the chain does not say
    finalized   bigint,                 -- never goes back; from the tag, else by depth
    finality_named boolean  NOT NULL DEFAULT false,  -- the chain has named it: it is never counted any more
    dropped     bigint  NOT NULL DEFAULT -1,  -- of blocks up to it, which retention had dropped, late history was stored
                                              -- again and nothing else: what they lack was not withheld
    latched     text,                   -- why the listener stopped for good (finality violated); null: it runs
    updated_at  timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- Contracts that are read from the same moment on share a filter version; 1: from the chain's first block on.
CREATE TABLE chain_contracts (
    chain_id       bigint  NOT NULL,
    address        bytea   NOT NULL CHECK (octet_length(address) = 20),
    filter_version integer NOT NULL CHECK (filter_version > 0),
    since_block    bigint  NOT NULL,    -- the first block that may hold logs of it
    origin         bytea,               -- the factory that created it; null: the configuration names it
    number         bigint  GENERATED ALWAYS AS IDENTITY,  -- the order in which they came to be known
    PRIMARY KEY (chain_id, address)
);

-- Ranges of one version neither overlap nor touch: between two of them something is missing.
CREATE TABLE chain_coverage (
    chain_id       bigint  NOT NULL,
    filter_version integer NOT NULL,
    first          bigint  NOT NULL,
    last           bigint  NOT NULL CHECK (last >= first),
    PRIMARY KEY (chain_id, filter_version, first)
) WITH (fillfactor = 50);

CREATE TABLE chain_audits (
    chain_id       bigint  NOT NULL,
    filter_version integer NOT NULL,
    audited        bigint  NOT NULL,
    PRIMARY KEY (chain_id, filter_version)
) WITH (fillfactor = 50);

-- Stored logs that an endpoint's receipts do not have, or have otherwise. Nothing is done about them but by an operator.
CREATE TABLE chain_differences (
    chain_id     bigint      NOT NULL,
    block_number bigint      NOT NULL,
    log_index    integer     NOT NULL,
    block_hash   bytea       NOT NULL,
    endpoint     text        NOT NULL,   -- without its credentials
    found_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (chain_id, block_number, log_index)
);

-- What an operator orders about what is stored of final blocks: to compare it with an endpoint's word and repair it
-- (replay), or to decode what could not be decoded (redecode). The chain's listener obeys one after the other.
CREATE TABLE chain_orders (
    id       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    chain_id bigint      NOT NULL,
    kind     text        NOT NULL CHECK (kind IN ('replay', 'redecode')),
    first    bigint      NOT NULL CHECK (first >= 0),
    last     bigint      NOT NULL CHECK (last >= first),
    dry_run  boolean     NOT NULL,
    asked_by text        NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT now(),
    state    text        NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'done', 'failed')),
    next     bigint      NOT NULL,      -- the first of its blocks that was not looked at yet
    result   jsonb       NOT NULL,      -- what came of it up to there
    trouble  text,                      -- why it failed, or does not get on
    ended_at timestamptz
);
CREATE INDEX chain_orders_open ON chain_orders (chain_id, id) WHERE state IN ('waiting', 'running');
CREATE INDEX chain_orders_of_chain ON chain_orders (chain_id, id);

-- Blocks that are stored without their logs when they are next read, by an operator's order: the chain goes on, its
-- coverage leaves them out, and nobody reads their logs before a replay does.
CREATE TABLE chain_skips (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    chain_id     bigint      NOT NULL,
    first        bigint      NOT NULL CHECK (first >= 0),
    last         bigint      NOT NULL CHECK (last >= first),
    reason       text        NOT NULL CHECK (reason <> ''),
    asked_by     text        NOT NULL,
    asked_at     timestamptz NOT NULL DEFAULT now(),
    in_force_at  timestamptz,           -- since when the listener knows of it
    made_good_at timestamptz            -- a replay has read all of it
);
CREATE INDEX chain_skips_of_chain ON chain_skips (chain_id, id);

CREATE FUNCTION make_block_partitions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM make_partitions('chain_blocks', 262144, coalesce(NEW.tip_number, NEW.start_block), NEW.chain_id);
    PERFORM make_partitions('chain_logs', 262144, coalesce(NEW.tip_number, NEW.start_block), NEW.chain_id);
    RETURN NULL;
END
$$;
CREATE TRIGGER blocks_begin AFTER INSERT OR UPDATE OF start_block ON chain_state
    FOR EACH ROW EXECUTE FUNCTION make_block_partitions();
CREATE TRIGGER blocks_grow AFTER UPDATE OF tip_number ON chain_state
    FOR EACH ROW WHEN (NEW.tip_number / 262144 IS DISTINCT FROM OLD.tip_number / 262144)
    EXECUTE FUNCTION make_block_partitions();
