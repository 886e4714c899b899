"""The evaluation protocols of the papers, in the words of `tasks.published.protocol_of`."""

HOLDOUT = "official division"
BY_PERSON = "{} folds of people"
BY_CLIP = "{} folds of clips, people shared"
LEAVE_ONE_OUT = "one person left out at a time"
RANDOM_PEOPLE = "a random {:.0%} of the people"
CROSS = "trained on everyone of the other datasets"
CROSS_HELD_OUT = "trained on the other datasets, a share of their people held out"
UNKNOWN = ""  # the paper does not say it
