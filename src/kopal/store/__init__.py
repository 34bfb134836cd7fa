"""What was computed once is kept: a photo's features or pixels, in one SQLite file that many processes may share.

`place` says in which folder, `limit` how large it may grow, `layout` what the file is like, how it is opened whatever
is found there, and what shows damage; `lru` which rows go first where there is no room. `rows` is the store as
trainings see it, `care` what its owner does with it.
"""

from kopal.store.care import Pruned, Verified, clear, prune, usage, verify
from kopal.store.layout import FILE
from kopal.store.limit import limit, size_of
from kopal.store.place import NOWHERE, WEIGHTS, cache_folder
from kopal.store.rows import Store

__all__ = [
    "FILE",
    "NOWHERE",
    "WEIGHTS",
    "Pruned",
    "Store",
    "Verified",
    "cache_folder",
    "clear",
    "limit",
    "prune",
    "size_of",
    "usage",
    "verify",
]
