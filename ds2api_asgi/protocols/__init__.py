"""Room 1: the wire protocols, one package each with the same files; none imports another.

`base` says what a protocol is, `registry` finds one by name, `fields` has the tables they share.
"""
