import { ponder } from "ponder:registry";
import { opened } from "ponder:schema";

// The ABI is read at run time, so the arguments have no type of their own here.
ponder.on("Venue:PositionOpened" as never, async ({ event, context }: any) => {
  const args = event.args;
  await context.db.insert(opened).values({
    id: event.id,
    blockNumber: event.block.number,
    logIndex: event.log.logIndex,
    transactionHash: event.transaction.hash,
    positionId: args.position_id,
    owner: args.owner,
    marketId: args.market_id,
    isLong: args.is_long,
    size: args.size,
    entryPrice: args.entry_price,
    collateral: args.collateral,
    fee: args.fee,
    entryFundingIndex: args.entry_funding_index,
    pricePublishTime: args.price_publish_time,
  });
});
