"""Performance over time. Times compare only on one machine; the ``track_`` ratios mean something on any."""

import os
import sys
from pathlib import Path

# asv installs one commit after the other into the same environment. What numba compiles for each goes into a folder
# that bears the commit's hash; numba reads the variable when it is imported, which is later than this.
if {"ASV_ENV_DIR", "ASV_COMMIT"} <= os.environ.keys():
    os.environ["NUMBA_CACHE_DIR"] = os.path.join(os.environ["ASV_ENV_DIR"], "numba", os.environ["ASV_COMMIT"][:12])

# What the machine could do at most is measured as scripts/compare_peers.py does, with code of no commit but today's.
sys.path.append(str(Path(__file__).resolve().parents[2] / "scripts"))
