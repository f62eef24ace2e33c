"""Where a request goes, by the model that it names, and how the answer says that model's name.

| module | noun |
|---|---|
| `router` | an app over apps, by the model that a request names |
| `routes` | which models go where |
| `target_app`, `needs` | one target of a route as an app; what a request needs of a model |
| `renamed` | answers that say the model that the client asked for |
| `renamed_socket` | the same for the messages of a websocket, in both directions |
| `model_lists` | one list of models out of those of several apps |
| `splice` | members of a JSON object changed in its bytes |
"""
