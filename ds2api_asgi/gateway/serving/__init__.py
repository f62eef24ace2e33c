"""A gateway as processes: servers, workers, signals and logs. Apps that are mounted elsewhere need none of it.

| module | noun |
|---|---|
| `attended` | a gateway in a process of its own, which heeds signals |
| `crew` | worker processes that serve one port |
| `peers` | workers that ask each other |
| `uvicorn_server` | uvicorn on a port, its start told and its end bounded |
| `certificate` | what a server shows of itself, renewed |
| `granian_server` | granian in its place |
| `orders` | what a command line says about serving |
| `logs` | one place and one format for the log of a process |
| `foreign` | pages of other sites, which a browser on this machine may show |
"""
