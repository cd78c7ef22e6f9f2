"""Places for people to look at: which ones, and how they are handed over.

It imports everything below it but `training`. Start with `selection`, which chooses the places.

* `selection`: the rule that chooses tiles
* `tile_folder`: a folder of tiles with a table to fill in, which is labelled data afterwards
"""
