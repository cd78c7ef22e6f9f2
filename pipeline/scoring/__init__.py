"""From photos and archives to a dataset of crack scores, hosted by Ray Data.

It may import every package below it but `labels`. Start with `flow`, which shows a run on one page.

* `flow`: `score`, `retry` and `preview`, top to bottom
* `config`: what a user can ask of a run
* `scale_table`: what a user says about the scale of photos, for all or in a table
* `inputs`: from folders, photos, archives, globs and lists to what they name
* `plan`: one table of all photos to score, kept in the dataset
* `planned_inputs`: everything that was ever planned, as inputs for `retry`
* `relocate`: tells a dataset where its archives lie now
* `versions`: which planned archives and photos were replaced or have vanished
* `job`: a run with model, engine and rule settled before it starts
* `placement`: how many scorers there are, what each reserves, and how much it gets at a time
* `reading`: the units of reading, and the photos of one unit
* `scorer`: decodes, cuts and scores photos; a plain class
* `inspection`: looks into photos with cracked tiles for their maps and cracks
* `ray_data`: hosts listing, reading and scoring with Ray Data
* `collector`: passes scored photos to the writer, the log and the statistics
* `progress`: how far a run is, how it ended, and its callbacks
* `predict`: scores and crack maps of single photos, without a dataset
* `estimate`: what a plan contains, and how long the rest takes by a sample of it
* `rehearsal`: scores that sample where the job would, and measures it
* `doctor`: every check of this machine, in order
"""
