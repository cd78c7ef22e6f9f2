"""What people have drawn on photos, in the formats of the tools that they draw with.

It imports `core`, `storage` and `images`, and knows neither tiles nor which names mean a crack. Start with `readers`.

* `readers`: an export, whatever its format, with its photos found on disk
* `documents`: annotation files, told apart by their content
* `coco`: COCO instances
* `labelme`: labelme and X-AnyLabeling
* `yolo`: YOLO boxes and outlines
* `pascal_voc`: Pascal VOC
* `cvat`: CVAT for images
* `label_studio`: Label Studio's JSON
* `photos`: the photo on disk that an export names
* `shapes`: what is drawn, and how it becomes pixels
* `rle`: masks as run lengths
* `entries`: checks of values, with errors that name file and entry
"""
