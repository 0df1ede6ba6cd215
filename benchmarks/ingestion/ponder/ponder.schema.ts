import { onchainTable, primaryKey } from "ponder";

export const events = onchainTable(
  "events",
  (t) => ({
    block_number: t.bigint().notNull(),
    log_index: t.integer().notNull(),
    transaction_hash: t.hex().notNull(),
    account: t.hex().notNull(),
    token: t.hex().notNull(),
    amount: t.bigint().notNull(),
    balance: t.bigint().notNull(),
  }),
  (table) => ({ pk: primaryKey({ columns: [table.block_number, table.log_index] }) }),
);
