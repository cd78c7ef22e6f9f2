"""From pixels and crack maps to cracks: lines with length and width, in pixels and in millimetres.

It imports `core` and `images`, and knows neither files, Ray nor networks. Start with `cracks`.

* `cracks`: from a photo's pixels and crack probabilities to its cracks
* `lines`: traces the lines along which cracks run
* `stitching`: joins the cracks of a raster over its windows
* `width`: measures the width of a crack in a profile across it
* `profiles`: grey values across a line
* `scale`: finds how many millimetres a pixel of a photo spans
* `registration`: lays two photos of one surface over each other
* `darkness`: how dark a photo is along a line, and how wide what is dark
* `growth`: what became of each crack between two photos
"""
