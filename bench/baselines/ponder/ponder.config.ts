import { readFileSync } from "node:fs";
import { createConfig } from "ponder";
import type { Abi, Address } from "viem";

const env = process.env as Record<string, string>;

export default createConfig({
  database: { kind: "postgres", connectionString: env.DATABASE_URL },
  chains: { bench: { id: Number(env.BENCH_CHAIN_ID), rpc: env.BENCH_RPC } },
  contracts: {
    Venue: {
      chain: "bench",
      abi: JSON.parse(readFileSync(env.BENCH_ABI, "utf8")) as Abi,
      address: env.BENCH_ADDRESS as Address,
      startBlock: Number(env.BENCH_FIRST),
      endBlock: Number(env.BENCH_LAST),
    },
  },
});
