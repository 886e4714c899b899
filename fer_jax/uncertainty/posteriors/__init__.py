"""Posteriors over the weights of any Flax model, each of which draws predictions `[S, B, C]`.

`ensembles`: several trained networks; `swag`: averages of late weights and draws around them;
`laplace`: a Gaussian over the last layer, which `last_layer` finds. What they draw is summarised
like samples of MC dropout, by `uncertainty.summarise`. `fer_jax.uncertainty` exports their names.
"""
