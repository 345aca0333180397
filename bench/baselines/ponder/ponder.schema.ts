import { onchainTable } from "ponder";

export const opened = onchainTable("opened", (t) => ({
  id: t.text().primaryKey(),
  blockNumber: t.bigint().notNull(),
  logIndex: t.integer().notNull(),
  transactionHash: t.hex().notNull(),
  positionId: t.bigint().notNull(),
  owner: t.hex().notNull(),
  marketId: t.bigint().notNull(),
  isLong: t.boolean().notNull(),
  size: t.bigint().notNull(),
  entryPrice: t.bigint().notNull(),
  collateral: t.bigint().notNull(),
  fee: t.bigint().notNull(),
  entryFundingIndex: t.bigint().notNull(),
  pricePublishTime: t.bigint().notNull(),
}));
