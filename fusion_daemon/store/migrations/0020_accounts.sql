-- The registry of accounts, its stream, and the audit trail of every mutation.

CREATE TABLE accounts (
    id         text        COLLATE "C" PRIMARY KEY,
    customer   text        NOT NULL,
    name       text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- An address belongs to one account per chain; an account may have several on a chain.
CREATE TABLE account_addresses (
    chain_id  bigint      NOT NULL CHECK (chain_id > 0),
    address   bytea       NOT NULL CHECK (octet_length(address) = 20),
    account   text        COLLATE "C" NOT NULL REFERENCES accounts,
    linked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (chain_id, address)
);
CREATE INDEX account_addresses_by_account ON account_addresses (account, chain_id, address);

CREATE TABLE account_contacts (
    account     text        COLLATE "C" NOT NULL REFERENCES accounts,
    channel     text        NOT NULL,
    target      text        NOT NULL,
    secret_name text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    verified_at timestamptz,
    verified_by text,
    PRIMARY KEY (account, channel, target),
    CHECK ((verified_at IS NULL) = (verified_by IS NULL))
);

-- The stream `accounts`: the whole record after each change.
CREATE TABLE account_changes (
    seq     bigint PRIMARY KEY,
    account text   COLLATE "C" NOT NULL,
    record  jsonb  NOT NULL
);

CREATE TABLE audit (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    principal  text        NOT NULL,
    action     text        NOT NULL,
    object     text        NOT NULL,
    outcome    text        NOT NULL,
    detail     jsonb       NOT NULL,
    request_id text        NOT NULL,
    -- Chosen by the writer of a row that stands alone, to find out whether a lost commit happened.
    mark       text        UNIQUE
);

-- What is written in it stays written, whatever SQL the daemon is made to run.
CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION audit_is_append_only();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();
