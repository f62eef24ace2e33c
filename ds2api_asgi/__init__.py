"""An nginx for AI model APIs, as pure-ASGI parts."""
