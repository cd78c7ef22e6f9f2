"""A model folder, its network, and the engines that compute with it.

It imports `core`, `storage` and `images`. Start with `model`.

* `model`: a model on disk: weights, card, README, int8 network
* `card`: the model card, `card.json`
* `threshold_words`: where a model's threshold comes from, and what it costs, for people
* `engines`: which engine scores, and how to load it
* `batching`: what an engine is, and tiles scored in batches of one size
* `network`: a model's network and tensors in torch
* `closer_look`: the second look at tiles that may be cracked
* `dense_head`: from the feature maps of a network to the crack, pixel by pixel
* `backbones`: pre-trained networks from timm
* `weights`: files of weights, read without running code from them
* `torch_engine`: the engine in torch, the reference for scores
* `openvino_engine`: the engine for CPUs
* `openvino_graph`: a model as an OpenVINO graph
* `openvino_runtime`: the one import of OpenVINO, without its telemetry
* `photo_score`: the probability that a photo shows a crack, from the scores of its tiles
* `domain`: how unlike the training tiles a tile is
* `crack_maps`: crack maps of whole photos, as PNG
* `dense_mapper`: where in a tile the dense head sees a crack
* `saliency`: where in a tile a network without a dense head sees a crack
* `throughput`: how many tiles a backbone scores in a second
"""
