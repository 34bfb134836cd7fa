"""The model behind HTTP: a page for people, an API for programs, safe by default. `kopal serve` starts it.

    connection → guard → routes → line (bounded) → lanes: a worker process decodes, the net answers → JSON

Nothing here imports the web server before `server.run` is called, so that the package can be looked at without it.
"""

from kopal.serve.settings import Settings

__all__ = ["Settings"]
