import { ponder } from "ponder:registry";
import { events } from "ponder:schema";

ponder.on("Emitter:CollateralDeposited", async ({ event, context }) => {
  await context.db.insert(events).values({
    block_number: event.block.number,
    log_index: event.log.logIndex,
    transaction_hash: event.transaction.hash,
    account: event.args.account,
    token: event.args.token,
    amount: event.args.amount,
    balance: event.args.balance,
  });
});
