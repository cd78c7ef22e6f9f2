"""Training: from labelled tiles to a model folder, with Ray Train.

Imports `core`, `storage`, `images`, `synthetic`, `dataset`, `labels`, `models`, `cluster` and `evaluation`.
Start with `flow`.

* `flow`: the training flow on one page, from labelled tiles to a model folder
* `config`: the settings of a training run and their presets
* `ray_trainer`: hosts the loop with Ray Train: workers, checkpoints, run ids
* `worker`: what each Ray Train worker runs
* `progress`: the result of an epoch, the callbacks of `train`, and the actor that reports from the workers
* `loop`: epoch after epoch, with the best weights and resume
* `learner`: the network in training: steps, moving average, validation
* `sampler`: which tiles an epoch takes, in which order
* `data_loader`: batches of tiles, shared among workers and read ahead, and their changed pictures
* `augment`: the pixels of a tile as training and scoring see them
* `crack_targets`: what each pixel of a training picture shows
* `losses`: what training makes small
* `photometric`: random changes of light, lens, sensor and file
* `domain_fit`: fits the domain score to the training tiles
* `model_card`: writes the card of a trained model
* `model_readme`: writes the README of a model
* `quantise`: makes the int8 network and measures its cost
* `tracking`: the history of epochs, in Parquet and on an MLflow server
* `leave_one_source_out`: runs the trials of a comparison side by side
* `trials`: what each trial trains and tests on
"""
