"""Room 4: the command line, and the only place that knows of servers and argument parsing.

| module | noun |
|---|---|
| `cli` | the command ``ds2api``: its parser and exit codes |
| `explain` | the command that tells from a log what happened to requests |
| `convert` | ``ds2api convert``: a document from one protocol to another |
| `demo` | ``ds2api demo``: a gateway over the demo model on a port |
| `front` | the app around a gateway: a first page, and 404 for what no protocol claims |
| `quickstart` | ready requests for every protocol of a gateway |
| `simulate` | ``ds2api simulate``: clients, keys and providers in virtual time |
| `serving` | a server on a port, its start told and its end bounded |
"""
