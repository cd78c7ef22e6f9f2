"""What people add to a dataset: verdicts, elements of the structure, scales.

It imports `core`, `storage`, `images`, `annotations`, `labels`, `archives` and `dataset`, whose `beside` has the
columns and the views of these tables. Start with `verdicts`.

* `scales`: sets scales of photos after scoring
"""
