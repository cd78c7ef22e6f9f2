"""What people add to a dataset: verdicts, elements of the structure, scales.

It imports `core`, `storage`, `images`, `annotations`, `labels`, `archives` and `dataset`, whose `beside` has the
columns and the views of these tables. Start with `verdicts`.

* `elements`: files photos under the parts of their structures
* `element_rules`: the table that says which photos show which part
* `areas`: polygons on the earth, and which points lie in them
* `verdicts`: adds what people say to a dataset
* `verdict_files`: what the files of people say, row by row
* `tool_verdicts`: what exports of labelling tools say, picture by picture
* `picture_names`: names of pictures for those tools, which say what each shows
* `verdict_places`: which photo, picture and cracks a verdict is about
* `labels`: verdicts as labelled tiles to train on
* `crack_tiles`: which cracks run through which boxes
* `scales`: sets scales of photos after scoring
"""
