"""The commands of ``ds2api``, a module each, with what only they need.

| module | noun |
|---|---|
| `serve` | ``ds2api serve``: a gateway from a file, on a port |
| `demo`, `quickstart` | ``ds2api demo``: a gateway over the demo model; ready requests for every protocol |
| `init`, `setup`, `draft` | ``ds2api init``: what it asks, what it makes, the commented file |
| `questions` | plain questions on a terminal or a pipe |
| `check`, `understood`, `probe` | ``ds2api check``: what a configuration means, whether its providers can be reached |
| `keys`, `key_table` | ``ds2api keys``: the keys of a running gateway, as lines |
| `console_door` | its console, asked from outside |
| `explain` | ``ds2api explain``: from a log, what happened to requests |
| `convert` | ``ds2api convert``: a document from one protocol to another |
| `simulate` | ``ds2api simulate``: clients, keys and providers in virtual time |
| `arguments` | what arguments of several commands mean |
"""
