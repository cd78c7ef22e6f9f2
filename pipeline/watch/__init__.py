"""Scoring that goes on: looks at the inputs again and again, and scores what is new and complete.

It may import every package below it but `labels`. Start with `flow`, which shows the loop.

* `flow`: `watch`, look after look
* `rounds`: scores what a look found, with one writer and one Ray for all rounds
* `settling`: which files are complete
* `schedule`: how often it looks, and when it stops
* `progress`: how a watch stands, and its callbacks
"""
