"""The commands of ``ds2api``, a module each, with what only they need.

| module | noun |
|---|---|
| `check` | ``ds2api check``: what a configuration means, or what is wrong with it |
| `convert` | ``ds2api convert``: a document from one protocol to another |
| `demo` | ``ds2api demo``: a gateway over the demo model on a port |
| `draft` | what somebody chose for a gateway, as a commented file |
| `explain` | ``ds2api explain``: from a log, what happened to requests |
| `init` | ``ds2api init``: a configuration by asking which providers there are |
| `keys` | ``ds2api keys``: the keys of a running gateway |
| `probe` | whether providers can be reached and keys work |
| `questions` | plain questions on a terminal or a pipe |
| `quickstart` | ready requests for every protocol of a gateway |
| `serve` | ``ds2api serve``: a gateway from a file, on a port |
| `setup` | what ``init`` does: choose, make secrets, write |
| `simulate` | ``ds2api simulate``: clients, keys and providers in virtual time |
| `understood` | what a configuration means, in data and in lines |
"""
