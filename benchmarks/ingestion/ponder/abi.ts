export const abi = [
  {
    type: "event",
    name: "CollateralDeposited",
    inputs: [
      { name: "account", type: "address", indexed: true },
      { name: "token", type: "address", indexed: true },
      { name: "amount", type: "uint256", indexed: false },
      { name: "balance", type: "uint256", indexed: false },
      { name: "seq", type: "uint64", indexed: false },
    ],
  },
] as const;
