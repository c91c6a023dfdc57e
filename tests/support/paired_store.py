"""A store in a folder that was used with a ledger before."""

import json
from pathlib import Path

from shared.services import DATA_FORMAT
from shared.storage import LocalBlobStore, keys


def pair_store(folder: Path) -> str:
    """Give the folder the identity of a ledger; return its URL. Without one, its disk may not be mounted."""
    identity = {"id": "of an earlier start", "format": DATA_FORMAT}
    LocalBlobStore(folder).put(keys.LEDGER_IDENTITY, json.dumps(identity).encode())
    return folder.as_uri()
