import { createConfig } from "ponder";
import { abi } from "./abi";

export default createConfig({
  chains: {
    bench: {
      id: Number(process.env.BENCH_CHAIN),
      rpc: process.env.BENCH_RPC_URL,
      pollingInterval: Number(process.env.BENCH_POLL_MS),
    },
  },
  contracts: {
    Emitter: {
      chain: "bench",
      abi,
      address: process.env.BENCH_EMITTER as `0x${string}`,
      startBlock: Number(process.env.BENCH_FIRST),
    },
  },
});
