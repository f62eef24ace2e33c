"""Room 1: what changes requests, answers and streams in universal form, whatever their protocol."""
