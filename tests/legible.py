"""Whether a reader can read all texts of a figure."""

import itertools

from matplotlib.backends.backend_agg import FigureCanvasAgg


def drawn_texts(figure):
    """Every text a reader sees: (string, box in pixels)."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    texts = [*figure.texts, figure._suptitle]
    for part in [figure, *getattr(figure, "subfigs", [])]:
        texts += [text for legend in part.legends for text in legend.get_texts()]
        for axes in part.axes:
            texts += [axes.title, axes._left_title, *axes.texts]
            for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
                texts.append(axis.label)
                low, high = sorted(limits)
                for tick in axis.get_major_ticks():
                    if low - 1e-9 <= tick.get_loc() <= high + 1e-9 and axes.axison:
                        texts.append(tick.label1)
    return [
        (text.get_text(), text.get_window_extent(renderer))
        for text in dict.fromkeys(texts)
        if text is not None and text.get_visible() and text.get_text().strip()
    ]


def check_legible(figure):
    """No text overlaps another or leaves the figure."""
    texts = drawn_texts(figure)
    assert texts
    page = figure.bbox
    for text, box in texts:
        assert box.x0 >= -1 and box.y0 >= -1, text
        assert box.x1 <= page.width + 1 and box.y1 <= page.height + 1, text
    for (one, box), (other, second) in itertools.combinations(texts, 2):
        across = min(box.x1, second.x1) - max(box.x0, second.x0)
        down = min(box.y1, second.y1) - max(box.y0, second.y0)
        assert across < 1 or down < 1, f"{one!r} overlaps {other!r}"
    return [text for text, _ in texts]
