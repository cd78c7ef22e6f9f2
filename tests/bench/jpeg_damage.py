"""How many damaged JPEGs are found: `python -m tests.bench.jpeg_damage [--each 500]`, some minutes.

Damages every kind of JPEG in every way at random places, decodes the result, and compares it with the whole photo's
pixels. The yardstick is libjpeg-turbo: what it does not notice, nobody can know.
"""

import argparse
import random
from collections import Counter

from pipeline.core.errors import DataError
from pipeline.images.decode import decode
from tests.helpers.damaged_jpegs import DAMAGES, damage, differs_visibly, draw_wall, encode_all_ways, has_warnings


def classify(data: bytes, whole: bytes) -> str:
    """Tell what became of a damaged photo."""
    try:
        pixels = decode(data).pixels
    except DataError:
        return "found"
    if not differs_visibly(pixels, decode(whole).pixels):
        return "no visible difference"
    return "MISSED THOUGH WARNED" if has_warnings(data) else "missed, as without a warning"


def main() -> None:
    """Print a table of the damages tried, found and missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=500, help="damages of each kind for each file")
    each = parser.parse_args().each
    numbers = random.Random(0)
    files = encode_all_ways(draw_wall(1))
    counts = {kind: Counter[str]() for kind in DAMAGES}
    by_file = Counter[str]()
    for name, whole in files.items():
        for kind in DAMAGES:
            for _ in range(each):
                outcome = classify(damage(whole, kind, numbers.randint), whole)
                counts[kind][outcome] += 1
                by_file[name] += outcome.startswith("missed")
    for kind, found in counts.items():
        outcomes = (f"{count:6,} {what}" for what, count in found.most_common())
        print(f"{kind:16} {found.total():6,} tried", *outcomes)
    print("missed by file:", dict(by_file.most_common()))


if __name__ == "__main__":
    main()
