-- Messages that killed their handler twice, kept for the operator: of a mailbox, or entries of a durable stream.

CREATE TABLE quarantine (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Chosen by whoever sets aside: written again after a lost answer, it is still one row.
    mark       text        NOT NULL UNIQUE,
    source     text        NOT NULL,           -- the mailbox; of a stream's entry its consumer
    stream     text,
    seq        bigint,
    resting    bigint,                         -- the last entry that can be folded without it
    phase      text        CHECK (phase IN (
                   'fold',                     -- it killed its consumer when it was folded
                   'start')),                  -- when a start took it back out of what the store holds
    message    text        NOT NULL,           -- the name of its type
    payload    bytea,                          -- of a mailbox's message; an entry stays in its stream
    traceback  text        NOT NULL,           -- of the second death
    at         timestamptz NOT NULL,
    state      text        NOT NULL DEFAULT 'held' CHECK (state IN ('held', 'replayed', 'discarded')),
    settled_by text,
    settled_at timestamptz,
    CHECK ((state = 'held') = (settled_by IS NULL) AND (settled_by IS NULL) = (settled_at IS NULL)),
    CHECK (num_nulls(stream, seq, resting, phase) IN (0, 4))
);

-- One entry is held once; after a replay it may come back.
CREATE UNIQUE INDEX quarantine_held_entries ON quarantine (source, stream, seq)
    WHERE state = 'held' AND stream IS NOT NULL;
CREATE INDEX quarantine_entries ON quarantine (source, seq) WHERE stream IS NOT NULL;
