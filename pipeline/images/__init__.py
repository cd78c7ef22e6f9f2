"""From the bytes of a photo to upright RGB pixels and the tile grid.

Imports `core` alone and knows no file, archive or network. Start with `decode`. The pixels decide scores: raise
`DECODING` in `pipeline/scoring/job.py` with any change to `decode` or `tiles` that moves one.

* `decode`: decodes a photo to 8-bit RGB pixels, and resizes pixels
* `formats`: tells which names are photos, and which picture format bytes are
* `jpeg`: decodes a JPEG, if it is whole
* `jpeg_structure`: reads the segments and scans of a JPEG
* `jpeg2000`: tells which components of JPEG 2000 are decoded
* `lost_sectors`: finds sectors that a disk or a card has lost
* `png`: checks the chunks of a PNG
* `tiff`: tells which TIFFs are decoded, what their levels mean, and whether they are whole
* `heif`: lets Pillow open HEIF, if its list of items is sound
* `refusals`: failures that several decoders share, in the same words
* `camera_raw`: develops camera RAW, with the extra `raw`
* `exif`: reads when, where and with what a photo was taken
* `exif_values`: reads values of EXIF and XMP, of whatever type, as text and numbers
* `scale_facts`: tells what EXIF and XMP say about the scale of a photo
* `capture_time`: reads times, and tells which are credible
* `gps`: reads positions and heights, and tells which are credible
* `xmp`: reads the properties of an XMP packet
* `tiles`: computes the tile grid of a photo and cuts its tiles
* `isolated_decoder`: decodes in a child process, for photos that crash, hang or fill the memory
"""
