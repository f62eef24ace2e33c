"""From a configuration to parts: what each table means, and what outlives the file's next version.

| module | noun |
|---|---|
| `build` | all the parts of a configuration, put together |
| `generation` | what one reading of the file has become: it serves, retires and takes over |
| `lasting` | what outlives generations: counters, traces, sessions, stores |
| `line` | one upstream of a gateway, from translator to connections |
| `parts` | single tables of a configuration as what parts take |
| `certificates` | certificates in files, of servers and of upstreams |
| `blaming` | in which table the trouble is |
| `resource` | a part with a lifespan, which several generations of a gateway use |
| `sight` | what parts see of the gateway that they are in |
"""
