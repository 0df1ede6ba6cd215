-- Which daemon works on this database: one row per term, the newest is in force.
--
-- The holder's session also holds an advisory lock, so that its death frees the lease at once. The term is the
-- fence: `hold_lease` opens every transaction in which a daemon writes, and refuses whoever's term is over.

CREATE TABLE leases (
    term          bigint           PRIMARY KEY,
    instance      text             NOT NULL,
    configuration text             NOT NULL,  -- hash of what decides; a standby compares it with its own
    lease_seconds double precision NOT NULL CHECK (lease_seconds > 0),  -- a longer silence frees the lease
    taken         text             NOT NULL CHECK (taken IN (
                      'free',                 -- nobody held it, or its holder had given it back
                      'ended',                -- the holder's session had ended
                      'silent',               -- the holder had not renewed it in time; its session was ended
                      'told')),               -- an operator wanted it so
    since         timestamptz      NOT NULL DEFAULT clock_timestamp(),
    renewed_at    timestamptz      NOT NULL DEFAULT clock_timestamp(),
    released_at   timestamptz,
    backend_pid   integer          NOT NULL,
    backend_start timestamptz      NOT NULL
) WITH (fillfactor = 50);

-- A shared lock until the transaction ends: whoever begins a term takes it exclusively, and so waits for the
-- writes that were let in under the term before, and for no others.
CREATE FUNCTION hold_lease(claimed bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(112632824033897);  -- "fp_wri"
    IF (SELECT max(term) FROM leases) IS DISTINCT FROM claimed THEN
        RAISE EXCEPTION 'term % of the lease is over', claimed USING ERRCODE = 'FP001';
    END IF;
END
$$;
