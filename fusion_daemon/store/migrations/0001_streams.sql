-- Durable streams, their consumers' cursors, and the epochs that fence both.

CREATE SEQUENCE epochs AS bigint;

CREATE TABLE streams (
    name  text   PRIMARY KEY,
    head  bigint NOT NULL DEFAULT 0 CHECK (head >= 0),
    epoch bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE TABLE cursors (
    consumer text   NOT NULL,
    stream   text   NOT NULL,
    position bigint NOT NULL DEFAULT 0 CHECK (position >= 0),
    epoch    bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (consumer, stream)
) WITH (fillfactor = 50);

COMMENT ON SEQUENCE epochs IS 'Every start of an actor draws one: a commit that carries an older epoch fails.';
COMMENT ON TABLE streams IS 'One row per stream: the number of its last entry and the epoch of its one writer.';
COMMENT ON TABLE cursors IS 'How far a consumer has folded a stream; moved in the transaction of its effects.';
