"""The cache policies, one a file: what is recomputed at each step. A policy turns a row's view into a `Plan`."""

from .block_causal import BlockCausal
from .contract import Cache, View
from .delayed import Delayed
from .dual import Dual
from .none import NoCache
from .prefix import Prefix

__all__ = ["CACHES", "BlockCausal", "Cache", "Delayed", "Dual", "NoCache", "Prefix", "View"]

CACHES: dict[str, type[Cache]] = {
    "none": NoCache,
    "prefix": Prefix,
    "dual": Dual,
    "delayed": Delayed,
    "block_causal": BlockCausal,
}
