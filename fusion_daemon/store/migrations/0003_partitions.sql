-- Tables that grow for ever are range-partitioned by numbers: by a stream's seq, a chain's block numbers, the
-- numbers of alerts. Retention drops whole partitions from the low end (see docs/operations.md).
--
-- Numbers and not times, because then a jump of the clock cannot leave a row without a partition, the primary
-- keys of streams stay what they were, and reading on from a position touches only what comes after it.
--
-- INVARIANT: the transaction that first needs a partition makes it, and the one after it, by a trigger. So no
-- writer depends on anyone to make them in time; and since there is always one ahead, rows that are copied in
-- before the trigger fires find theirs, as long as one transaction spans less than a width.

CREATE FUNCTION make_partitions(parent text, width bigint, upto bigint, chain bigint DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    place bigint;
    child text;
    chain_bound text := CASE WHEN chain IS NULL THEN '' ELSE format('%L, ', chain) END;
BEGIN
    FOR place IN upto / width .. upto / width + 1 LOOP
        child := parent || CASE WHEN chain IS NULL THEN '' ELSE '_c' || chain END || '_p' || place;
        CONTINUE WHEN to_regclass(child) IS NOT NULL;
        -- Of two transactions that need the same one, the second waits here and then finds it.
        PERFORM pg_advisory_xact_lock(hashtextextended(child, 0));
        CONTINUE WHEN to_regclass(child) IS NOT NULL;
        -- Made aside and attached: PARTITION OF would lock readers and writers of the parent out.
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', child, parent);
        EXECUTE format(
            'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s%L) TO (%s%L)',
            parent, child, chain_bound, place * width, chain_bound, (place + 1) * width
        );
    END LOOP;
END
$$;

CREATE VIEW partitions AS
SELECT parent.relname AS parent, child.relname AS name, found[1]::bigint AS chain_id,
       found[2]::bigint AS low, found[3]::bigint AS high
FROM pg_inherits
JOIN pg_class parent ON parent.oid = inhparent AND parent.relkind = 'p'
JOIN pg_class child ON child.oid = inhrelid
CROSS JOIN LATERAL regexp_match(
    pg_get_expr(child.relpartbound, child.oid),
    $re$FROM \((?:'?(\d+)'?, )?'?(\d+)'?\) TO \((?:'?\d+'?, )?'?(\d+)'?\)$re$
) AS found
WHERE parent.relnamespace = 'public'::regnamespace;

COMMENT ON VIEW partitions IS 'Every partition and the numbers it holds: low <= number < high, of one chain or of all.';
