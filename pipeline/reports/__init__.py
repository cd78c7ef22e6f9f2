"""What people look at: report page, comparison, overlays.

It reads finished and unfinished datasets, and photos through the readers of `scoring`; it imports neither `training`
nor `cli`. Start with `report`.

* `report`: the HTML report of a dataset
* `compare`: two datasets compared, as a table and as a page
* `overlay`: photos with their heat over them, as files
* `crack_drawings`: drawings of cracks, one a photo, as DXF and SVG
* `workbook`: a workbook of cracks with their pictures
* `dataset_stats`: SQL that counts and lists the photos of a dataset
* `crack_stats`: SQL that counts and lists its cracks, and words for them
* `element_stats`: SQL that counts and lists what was found at each part of a structure
* `photo_matching`: the photos of two inspections matched by name, by the end of their paths, or by position
* `score_changes`: changes of scores between two datasets, and their agreement
* `crack_growth`: growth of cracks between two inspections
* `source_photos`: the photos of a dataset, read again from their archives
* `raster_pictures`: regions of rasters with their heat or their cracks
* `photo_cards`: photos as cards of a page
* `html_page`: templates and data to one HTML file
* `pdf_print`: a page printed by a browser without a window
* `svg_plots`: the geometry of the plots in a page
* `heatmap`: tile scores as colours over their photo
* `width_classes`: widths for people: classes with names and colours, and words
* `thumbnails`: small pictures: shrink, cut, add a legend, encode
"""
