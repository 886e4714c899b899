"""The paragraph on methods in a report, made from the config, to be pasted into a paper."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fer_jax.data import model_inputs
from fer_jax.data.clips import Clips
from fer_jax.data.folds import Fold
from fer_jax.layers.build import has_dropout
from fer_jax.tasks import TASKS
from fer_jax.training.averaging import average_after
from fer_jax.training.program import epoch_sizes
from fer_jax.uncertainty.stored import percent

_RULES = {
    "ends": "the first frame and the last {others}",
    "uniform": "{frames} frames at equal intervals",
    "middles": "the middle frames of {frames} equal parts",
    "padded": "up to {frames} frames at equal intervals, the last one repeated where there are "
    "fewer",
    "tile_reference": "{frames} frames at equal intervals, repeated in order where there are fewer",
    "last": "the last {frames} frames",
    "windows": "windows of {frames} consecutive frames",
    "pieces": "pieces of {frames} consecutive frames",
    "apex_pieces": "pieces of {frames} consecutive frames around the apex",
}
_INPUTS = {
    "edges": "The input is the landmarks as {edges} edges of a graph over the face",
    "nodes": "The input is the landmarks as nodes of a graph with {edges} edges, relative to the "
    "nose",
    "frames": "The input is face crops of {side} x {side} pixels",
    "faces": "The input is face crops of {side} x {side} pixels and the landmarks in them",
}
_FEATURES = {
    "position": "",
    "motion": ", less the same in the first frame",
    "normalised_motion": ", less the mean of the clip, in distances of the eyes, without roll",
}
_SCHEDULES = {
    "constant": "a constant learning rate of {rate:g}",
    "cosine": "a learning rate that falls from {rate:g} to 0 as a cosine",
    "steps": "a learning rate of {rate:g}, multiplied by {factor:g} at {unit} {milestones}",
    "plateau": "a learning rate of {rate:g}, multiplied by {factor:g} after {patience} epochs "
    "without a lower training loss",
}
_POSTERIORS = {
    "swa": "The network of the averaged weights (SWA) predicts, by MC dropout if it has any.",
    "swag": "The prediction is the mean over networks drawn around the averaged weights (SWAG, "
    "diagonal covariance), dropout off, each with BatchNorm statistics of its own.",
    "laplace": "The prediction is the mean over last layers drawn from a Laplace approximation "
    "around the trained one, dropout off; the precision of the prior {prior}.",
}
_PRIORS = {
    "evidence": "maximises the evidence",
    "validation": "is the one that gives the validation labels the highest likelihood",
}
_AUGMENTED = {
    "flip": "mirroring",
    "noise": "noise on the landmarks (standard deviation {:g} pixels of a frame 500 wide)",
    "degrees": "rotation by up to {:g} degrees",
    "angles": "rotation by one of {} degrees",
    "brightness": "brightness changed by up to {:.0%}",
    "contrast": "contrast changed by up to {:.0%}",
    "zoom": "scaling by up to {:.0%}",
    "erase": "hiding of a square of up to {:.0%} of the side",
    "cut": "cutting up to {:.0%} of the time off either end",
    "warp": "a changing speed (time t of 0 to 1 becomes t^exp(w), w uniform within +-{:g})",
    "time_reverse": "reversal of time",
    "fixed": "in copies of each clip that stay the same",
}


def paragraph(config, clips: Clips, folds: list[Fold], module, content: dict) -> str:
    """What was done, in plain English; it states no results.

    Args:
      config: of the run.
      clips, folds: the dataset, and its evaluated folds.
      module: the network.
      content: of metrics.json.
    """
    sentences = [
        _data(config, clips, content),
        _protocol(config, clips, folds),
        _input(config, clips, module),
        _network(config, content),
        *_recipe(config, clips, folds),
        *_inference(config, module, content),
        _software(content),
    ]
    return " ".join(sentences)


def _data(config, clips: Clips, content: dict) -> str:
    kind, names = _kind(config, clips), TASKS[config.task].names
    people = len(set(clips.subjects))
    whose = f" of {people} people" if people < len(clips) else ""
    listed = f"{_count(len(clips.classes), names)} ({', '.join(clips.classes)})"
    if config.data.train_on:
        trained = _join([name for name, _, _ in config.data.train_on])
        return (
            f"The models were trained on {trained} and evaluated on {config.data.dataset}, which "
            f"none of them had seen: {len(clips):,} {kind}{whose} in all, "
            f"{content['clips_evaluated']:,} evaluated, {listed}."
        )
    dataset = f"the dataset {config.data.dataset}"
    return f"The data are {len(clips):,} {kind}{whose} from {dataset}, with {listed}."


def _kind(config, clips: Clips) -> str:
    """What an example is called."""
    still = config.data.frames == 1 and clips.kind == "clips"
    return "images" if still else clips.kind


def _count(number: int, plural: str) -> str:
    """E.g. "1 epoch", "2 epochs"; there are always several classes."""
    return f"{number} {plural.removesuffix('s') if number == 1 else plural}"


def _join(names) -> str:
    *first, last = map(str, names)
    return f"{', '.join(first)} and {last}" if first else last


def _protocol(config, clips: Clips, folds: list[Fold]) -> str:
    protocol, kind = config.protocol, _kind(config, clips)
    first = folds[0]
    sizes = f"{len(first.train):,} {kind} for training"
    if first.validation is not None:
        sizes += f", {len(first.validation):,} for validation"
    sizes += f" and {len(first.evaluation):,} for evaluation"
    repeats = folds[-1].repeat + 1
    count = len(folds) // repeats
    again = f", repeated {repeats} times with other divisions and seeds" if repeats > 1 else ""
    if protocol.name == "subject_kfold":
        if not protocol.folds:
            return (
                f"Each of the {count} people in turn was evaluated by a network that was trained "
                f"on all others{again}."
            )
        if len(set(clips.subjects)) == len(clips):  # people are not told apart
            return f"Evaluation was a {count}-fold cross-validation over {kind}{again}."
        return (
            f"Evaluation was a {count}-fold cross-validation over people{again}: no person was in "
            "both the training and the evaluation data of a fold."
        )
    if protocol.name == "by_sequence":
        return (
            f"Evaluation was a {count}-fold cross-validation over {kind}{again}; the same person "
            "may be in the training and the evaluation data of a fold."
        )
    if protocol.name == "holdout":
        return f"The division is the official one: {sizes}."
    if protocol.name == "cross_database":
        held = "" if first.validation is None else (
            "; the validation data are of people of the training datasets who were held out"
        )  # fmt: skip
        return f"There were {sizes}{held}."
    if protocol.name == "random_subjects":
        drawn = f", drawn {repeats} times" if repeats > 1 else ""
        first = " in the first draw" if repeats > 1 else ""
        return (
            f"Evaluation was on a random {protocol.share:.0%} of the people, of whom there are no "
            f"training data{drawn}: {sizes}{first}."
        )
    return f"The protocol is {protocol.name} ({sizes} in the first division)."


def _input(config, clips: Clips, module) -> str:
    frames = config.data.frames
    crops = model_inputs.takes_crops(module)
    rule = _RULES.get(config.data.frame_rule, f"{{frames}} frames ({config.data.frame_rule})")
    rule = rule.format(frames=frames, others=frames - 1)
    # still images may come as crops without landmarks
    located = np.isfinite(np.asarray(clips.landmarks[np.arange(1)])).any()
    faces = "Faces were located by 68 landmarks. " if located else ""
    what = "each image" if _kind(config, clips) == "images" else f"{rule} of each recording"
    side = 0 if clips.crops is None else config.data.crop_size or clips.crops.size
    text = _INPUTS.get(module.inputs, f"The input is {module.inputs}")
    text = text.format(edges=len(clips.graph.edges), side=side)
    features = "" if crops else _FEATURES.get(config.data.features, f" ({config.data.features})")
    rate = config.data.frames_per_second
    rate = f", at {rate:g} frames per second" if rate else ""
    strides = ""
    if clips.kind == "windows":
        train, evaluated = config.data.window_strides
        strides = f" Of each recording one window in {train} was trained on and one in {evaluated} "
        strides += "evaluated."
    return f"{faces}{text}{features}, of {what}{rate}.{strides}"


def _network(config, content: dict) -> str:
    name = config.method or config.model.name
    several = len(content.get("search", {}).get("folds", ())) > 1
    found = ", its topology found by a search" if _searched(config) else ""
    found += " in each fold" * several
    mean = " in the mean of the folds" * several
    text = f"The network is {name}{found}, with {content['params_total']:,.0f} parameters{mean}"
    if "stages" in config.model or config.pretrained:
        start = config.pretrained
        text += f", which began with the weights {start}" if start else ", from random weights"
    return f"{text}."


def _searched(config) -> bool:
    return "search" in config and config.search.enabled


def _recipe(config, clips: Clips, folds: list[Fold]) -> Iterator[str]:
    train, optimizer, kind = config.train, config.optimizer, _kind(config, clips)
    batch, steps = epoch_sizes(train, folds)
    batches = f"{steps:,} batches" if steps != 1 else "1 batch"
    momentum = f" with momentum {optimizer.momentum:g}" if optimizer.momentum else ""
    rule = {"sgd": f"stochastic gradient descent{' (Nesterov)' * optimizer.nesterov}{momentum}",
            "adam": "Adam"}.get(optimizer.name, optimizer.name)  # fmt: skip
    rate = _SCHEDULES.get(optimizer.schedule, "a learning rate of {rate:g}").format(
        rate=optimizer.learning_rate, factor=optimizer.lr_factor, patience=optimizer.patience,
        unit=optimizer.lr_milestone_unit, milestones=_join(optimizer.lr_milestones or ("-",)),
    )  # fmt: skip
    if optimizer.warmup_epochs:
        rate += f" after a linear warm-up of {optimizer.warmup_epochs:g} epochs"
    of = " of the kernels" if optimizer.decay == "kernels" else ""
    decay = f", weight decay {optimizer.weight_decay:g}{of}" if optimizer.weight_decay else ""
    if optimizer.clip_norm:
        decay += f"; gradients of a norm above {optimizer.clip_norm:g} were scaled down to it"
    stages = "The last network of the search was" if _searched(config) else "It was"
    loss = TASKS[config.task].report.LOSS.removesuffix(" (nats)").replace(" x ", " times the ")
    yield (
        f"{stages} trained to minimise the {loss} for {_count(train.epochs, 'epochs')} of "
        f"{batches} of {batch} {kind}, by {rule}, with {rate}{decay}."
    )
    if train.get("class_weights", "none") == "balanced":
        yield "Classes were weighted inversely to their number of training examples."
    if config.augment.enabled:
        yield f"Training {kind} were augmented at random: {_augmentation(config.augment)}."
    if train.select_checkpoint == "best" and folds[0].validation is not None:
        yield "The weights of the epoch with the lowest validation loss were kept."
    else:
        yield "The weights of the last epoch were evaluated."
    if (first := average_after(config)) is not None:
        held = optimizer.schedule not in ("constant", "plateau")
        yield (
            f"The weights at the ends of the last {_count(train.epochs - first, 'epochs')} were "
            f"averaged{', with the learning rate held from there on' * held}."
        )


def _augmentation(augment) -> str:
    texts = []
    for field, value in augment.items():
        if field == "enabled" or not value:
            continue
        if isinstance(value, tuple):
            value = ", ".join(f"{each:g}" for each in value)
        own = _AUGMENTED.get(field)
        texts.append(own.format(value) if own else f"{field.replace('_', ' ')} {value}")
    if "time_reverse" in augment and not augment.time_reverse:
        texts.append(_AUGMENTED["flip"])
    return _join(texts) if texts else "none"


def _inference(config, module, content: dict) -> Iterator[str]:
    if (members := config.uncertainty.members) > 1:
        yield (
            f"A deep ensemble of {members} networks, trained from different seeds, predicts: its "
            "probabilities are the means of theirs."
        )
    if posterior := _POSTERIORS.get(config.uncertainty.posterior):
        chosen = content.get("laplace", {}).get("chosen_by", "evidence")
        yield posterior.format(prior=_PRIORS[chosen])
    if has_dropout(module):
        rate = config.model.get("dropout")
        rate = f" with rate {rate:g}" if isinstance(rate, float) else ""
        off = config.uncertainty.posterior in ("swag", "laplace")
        begin = f"For comparison dropout{rate}" if off else f"At test time dropout{rate}"
        yield (
            f"{begin} stayed on{' at test time' * off}, and the outputs of "
            f"{config.evaluation.mc_samples} stochastic passes were averaged (Monte Carlo dropout)."
        )
    modes = content["inference_modes"]
    if modes["stored"] != modes["recalibrated"]:  # equal for a network without BatchNorm
        yield (
            "Without dropout the network was evaluated with the BatchNorm statistics of training "
            "(stored), and with statistics that were estimated anew on the training data without "
            "dropout (recalibrated)."
        )
    selective = content["selective"]
    chosen = selective.get("chosen_on") or next(iter(selective["units"].values()))["chosen_on"]
    chosen = f"the {chosen} data" if chosen == "validation" else chosen
    yield (
        f"Thresholds of abstaining aim at an accuracy of {config.evaluation.target_accuracy:g} and "
        f"were chosen on {chosen.partition(' (')[0]}."
    )
    yield from _trust(content)


def _trust(content: dict) -> Iterator[str]:
    """Calibration and sets, as tables and predictions outside the table of modes have them."""
    calibration = content.get("calibration") or {}
    rows, others = calibration.get("modes", {}), calibration.get("chosen_on", "")
    row = next(iter(rows.values()), {})
    own = [row] if "method" in row else row.values()  # else one for each action unit
    used = [method for method in dict.fromkeys(each["method"] for each in own) if method != "none"]
    if used:
        some = " of some action units" * any(each["method"] == "none" for each in own)
        how = f"({_join(used)}) on the same people"
        if others.startswith("the other folds"):  # each may have chosen another method
            how = f"on {others} (for the bundle by {_join(used)})"
        yield f"Probabilities{some} were calibrated {how}."
    sets = content.get("sets")
    one = sets if sets is None or "level" in sets else next(iter(sets["units"].values()))
    if one is not None:
        kind = "Intervals" if "dimensions" in one else "Prediction sets"
        where = f"split-conformal, fitted on {one['people']} people"
        if one.get("crossed"):
            where = (
                f"cross-conformal: each fold's were fitted on the others ({one['people']} people)"
            )
        yield f"{kind} at a level of {percent(one['level'])} are {where}."


def _software(content: dict) -> str:
    environment, commit = content["environment"], content["run"]["commit"]
    code = f"fer_jax {environment['fer_jax']}" + (f" (commit {commit[:10]})" if commit else "")
    return (
        f"The software was {code} on JAX {environment['jax']} and Flax {environment['flax']}; the "
        f"seed was {content['run']['seed']}."
    )
