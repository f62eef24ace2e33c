"""What several processes share of a pool: the health, leases and limits of its keys.

A `ledger` keeps what is found and decides nothing but counters, in `sqlite` or in `redis`; each process follows it with
a `mirror`, and `store` is the one state machine on top.

| module | noun |
|---|---|
| `ledger` | one atomic step: the seam between the store and its back ends |
| `mirror` | a roster that follows a ledger |
| `records` | how the health of keys is written |
| `redis` | a ledger in Redis or Valkey, for several machines |
| `sqlite` | a ledger in a file, for several processes of one machine |
| `sqlite_step` | its tables, and what a transaction does with them |
| `store` | `SharedStore`: the interface of stores over a ledger |
"""
