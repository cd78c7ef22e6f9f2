"""Places for people to look at: which ones, and how they are handed over.

It imports everything below it but `training`. Start with `selection`, which chooses the places.

* `selection`: the rule that chooses tiles
* `doubts`: tiles whose score their neighbours or their photo speak against
* `judged`: tiles that people have judged already
* `places`: chosen tiles with their surroundings and the cracks that run there
* `crack_lines`: the parts of lines that lie in a box
* `pictures`: pictures of a place, in full and in small
* `page`: one HTML file to judge on
* `tile_folder`: a folder of tiles with a table to fill in, which is labelled data afterwards
* `tasks`: pictures and files for labelling tools
* `task_pictures`: what those pictures show, and what the model says of them
* `label_studio_tasks`: tasks and labelling page for Label Studio
* `cvat_tasks`: tasks and labels for CVAT
* `coco_tasks`: tasks as COCO instances
"""
