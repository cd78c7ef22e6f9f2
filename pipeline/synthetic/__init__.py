"""Drawn concrete and cracks: a sample of photos with its ground truth, and augmentations of real tiles for training.

Imports `core` alone; files go only below the folder of a sample. Start with `drawing`. Every pixel follows from the
order of the calls to the random generator: keep that order, or equal seeds no longer give equal pictures.

* `drawing`: draws one synthetic photo and its crack mask
* `noise`: makes smooth random fields and curves
* `concrete`: paints a concrete surface with the marks that are mistaken for cracks
* `cracks`: draws cracks that wander and branch, and their mask
* `augmentations`: paints marks and cracks over real tiles of sound concrete
* `clutter`: paints what else a photo shows over them: edges, cables, plants, paint
* `config`: the settings of a sample
* `sample`: writes a sample: photos, ground truth and labelled tiles
* `photos`: encodes photos as JPEG with EXIF, and packs them
* `tiles`: cuts labelled tiles from synthetic walls
* `ground_truth`: writes masks, crack pixels per cell, and the query that checks scores
"""
