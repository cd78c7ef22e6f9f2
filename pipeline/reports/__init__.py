"""What people look at: report page, comparison, overlays, tiles to review.

It reads finished and unfinished datasets, and photos through the readers of `scoring`; it imports neither `training`
nor `cli`. Start with `report`.

* `report`: the HTML report of a dataset
* `compare`: two datasets compared, as a table and as a page
* `overlay`: photos with their heat over them, as files
* `review`: tiles for people to label, with their table
* `dataset_stats`: SQL that counts and lists the photos of a dataset
* `photo_matching`: the photos of two inspections matched by name or position
* `path_tails`: those of one name matched by the end of their paths
* `unmatched`: why photos have no match, in words
* `score_changes`: changes of scores between two datasets, and their agreement
* `review_selection`: the rule that chooses tiles to review
* `source_photos`: the photos of a dataset, read again from their archives
* `photo_cards`: photos as cards of a page
* `html_page`: templates and data to one HTML file
* `svg_plots`: the geometry of the plots in a page
* `heatmap`: tile scores as colours over their photo
* `thumbnails`: small pictures: shrink, cut, add a legend, encode
"""
