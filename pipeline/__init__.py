"""crackscan: find cracks in archives of bridge-inspection photos.

The modules, in the order things happen:

* score: storage, archives, plan, decode, tiles, engine, sink, put together in flow (Ray Data)
* train: storage, labelled, decode, augment, training, model, put together in fit (Ray Train)
* after: results, evaluation
* words everyone uses: errors, schema, config, metrics, log
"""

import os
from importlib.metadata import PackageNotFoundError, version

# A thread that outlives its session must not start another Ray. Ray reads this when it is imported.
os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"

try:
    __version__ = version("crackscan")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"
