"""Room 4: the command line, and the only place that knows of servers and argument parsing.

| module | noun |
|---|---|
| `address` | a protocol's own paths and credential, said as a provider wants them |
| `config` | a gateway's configuration as data |
| `cli` | the command ``ds2api``: its parser and exit codes |
| `console` | a page to look at rather than read logs |
| `explain` | the command that tells from a log what happened to requests |
| `console` | a page to look at |
| `convert` | ``ds2api convert``: a document from one protocol to another |
| `demo` | ``ds2api demo``: a gateway over the demo model on a port |
| `logs` | one place and one format for the log of a process
| `front` | the app around a gateway: a first page, and 404 for what no protocol claims |
| `model_lists` | one list of models out of those of several apps |
| `needs` | what a request needs of a model |
| `presets` | providers as data: where each is, what it speaks, how it wants its key |
| `quickstart` | ready requests for every protocol of a gateway |
| `renamed` | answers that say the model that the client asked for |
| `renamed_socket` | the same for the messages of a websocket, in both directions |
| `router` | an app over apps, by the model that a request names |
| `routes` | which models go where |
| `simulate` | ``ds2api simulate``: clients, keys and providers in virtual time |
| `serving` | a server on a port, its start told and its end bounded |
| `splice` | members of a JSON object changed in its bytes |
| `target_app` | one target of a route as an app |
"""
