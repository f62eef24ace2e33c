"""From a configuration to parts: what each table means, and what outlives the file's next version.

| module | noun |
|---|---|
| `build` | all the parts of a configuration, put together |
| `line` | one upstream of a gateway, from translator to connections |
| `parts` | single tables of a configuration as what parts take |
| `resource` | a part with a lifespan, which several generations of a gateway use |
"""
