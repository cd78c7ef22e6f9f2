"""From the bytes of a photo to upright RGB pixels and the tile grid.

Imports `core` alone and knows no file, archive or network. Start with `decode`. The pixels decide scores: raise
`DECODING` in `pipeline/scoring/job.py` with any change to `decode` or `tiles` that moves one.

* `decode`: decodes a photo to 8-bit RGB pixels, and resizes pixels
* `exif`: reads when, where and with what a photo was taken
* `tiles`: computes the tile grid of a photo and cuts its tiles
* `isolated_decoder`: decodes in a child process, for photos that crash, hang or fill the memory
"""
