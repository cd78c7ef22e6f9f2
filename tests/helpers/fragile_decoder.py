"""A decoder that obeys a command in the photo, such as to die. It imports little, because child processes load it."""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from pipeline.core.errors import DataError
from pipeline.images.decode import Photo, decode
from pipeline.images.exif import PhotoFacts


def fragile(data: bytes, max_pixels: int) -> Photo:
    """Decode a photo, or obey a command: its name, a space, and an argument."""
    command, _, argument = data.partition(b" ")
    match command:
        case b"die":
            os.kill(os.getpid(), int(argument))
        case b"die-once":
            mark, _, data = argument.partition(b" ")
            if not Path(mark.decode()).exists():
                Path(mark.decode()).touch()
                os.kill(os.getpid(), signal.SIGKILL)
        case b"exit":
            os._exit(int(argument))
        case b"hang":
            time.sleep(600)
        case b"eat":
            np.ones(int(argument), np.uint8)
            return Photo(np.zeros((1, 1, 3), np.uint8), PhotoFacts())
        case b"print":
            print("chatter", flush=True)  # noqa: T201 - the tests expect it
            data = argument
        case b"tell":
            heavy = sorted({"torch", "ray", "pyarrow"} & sys.modules.keys())
            raise DataError("decode", "not_an_image", f"{os.getpid()} {heavy}")
    return decode(data, max_pixels)
