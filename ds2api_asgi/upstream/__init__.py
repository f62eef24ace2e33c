"""The end of every nest: an ASGI app that asks a provider, and the HTTP clients it can send through."""
