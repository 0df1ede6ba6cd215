-- What is remembered of messages that ended for good, in the place of evidence that is kept no longer; see
-- `fusion_daemon/crosschain/closing.py`. The messages themselves and their changes are the record, and stay for ever.
CREATE TABLE closed_messages (
    message  bytea PRIMARY KEY,
    closed   bytea NOT NULL,   -- msgpack
    timeline jsonb NOT NULL    -- of the evidence that is gone: what comes later is shown after it
);

-- Anybody can write logs that cannot be read: the oldest go by age, and by number.
ALTER TABLE unreadable_message_logs ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY UNIQUE;
ALTER TABLE unreadable_message_logs ADD COLUMN noted_at timestamptz NOT NULL DEFAULT now();

CREATE INDEX message_evidence_retracted ON message_evidence (chain_id, block_number) WHERE NOT canonical;
CREATE INDEX transactions_ended ON transactions (changed_at)
    WHERE state NOT IN ('proposed', 'approved', 'signed', 'sent', 'mined');
