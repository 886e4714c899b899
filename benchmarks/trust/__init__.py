"""How far to trust predictions for people, cameras and faces that were not seen in training.

`python -m benchmarks.trust` trains with every method and prints what each is worth.
"""
