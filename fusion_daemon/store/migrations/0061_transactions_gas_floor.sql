-- The least gas that a transaction is given, whatever its simulation needed: a call that catches its own want of gas
-- goes through with too little of it.
ALTER TABLE transactions ADD COLUMN gas_floor bigint NOT NULL DEFAULT 0
    CHECK (gas_floor >= 0 AND gas_floor <= gas_cap);
