"""How good scores and crack maps are: metrics, calibration, intervals, figures, left-out sources.

It imports `core`, `storage`, `images`, `dataset`, `labels`, `models` and `cluster`. Start with `evaluate`.

* `evaluate`: labelled tiles scored by a model, measured per source, and the report
* `metrics`: the measures of scores, and their one implementation
* `bootstrap`: intervals of the measures
* `figures`: the pictures of a report
* `mask_evaluation`: crack maps compared with crack masks, and the report
* `pixel_metrics`: how well crack maps agree with masks, pixel by pixel
* `crack_widths`: how wide the cracks of a mask are
* `calibration`: from logits to probabilities and thresholds
* `photo_calibration`: the calibration of whole photos, from tiles of left-out sources
* `own_calibration`: a model's calibration and threshold fitted to labelled tiles of the user's own
* `trial_results`: the result of one trial, and its file
* `trial_comparison`: trials of several backbones and recipes, compared
* `verdict_figures`: precision and recall of a dataset from verdicts on a random sample
* `operating_point`: the threshold and the figures to expect on structures not seen
"""
