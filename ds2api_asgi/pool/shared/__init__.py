"""What several processes share of a pool: the health, leases and limits of its keys.

A `ledger` keeps what is found and decides nothing but counters, in `sqlite` or in `redis`; each process follows it with
a `mirror` at the end of a `link`, and `store` is the one state machine on top.

| module | noun |
|---|---|
| `store` | `SharedStore`: the interface of stores over a ledger |
| `link` | a process's end of a ledger: what it knows, holds, and has not told yet |
| `mirror` | a roster that follows a ledger |
| `ledger` | one atomic step: the seam between the store and its back ends |
| `records` | how the health of keys is written |
| `redis` | a ledger in Redis or Valkey, for several machines |
| `sqlite`, `sqlite_step` | a ledger in a file, for several processes of one machine; its tables, and its transactions |
"""
