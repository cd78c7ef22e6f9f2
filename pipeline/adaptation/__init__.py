"""From a model and a few labelled tiles of one's own bridge to a better model, and how much better it is.

* `flow`: labelled tiles → what the network sees → a changed last layer → model, on one page.
* `last_layer`: the change of the last layer that labels ask for.
* `side_by_side`: the old and the new model on photos that neither has learnt from.
* `tile_views`: what a network sees in each tile, as it is and turned, cropped and relit.
"""
