"""Class vocabularies and their orders: the one place for names of emotions and action units."""

EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
CKPLUS_CLASSES = ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
OULU_CLASSES = EMOTIONS
MMI_CLASSES = EMOTIONS
AFEW_CLASSES = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
RAVDESS_CLASSES = (
    "angry",
    "calm",
    "disgust",
    "fearful",
    "happy",
    "neutral",
    "sad",
    "surprised",
)

# Of FERA 2015, in its order (STC-NLSTM specification, section 9).
BP4D_ACTION_UNITS = tuple(f"AU{unit:02d}" for unit in (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23))
# Intensity from which an action unit counts as present, where it is coded as 0..1 (A to E: 0.2 to
# 1.0): B, as DISFA's users count it.
PRESENT_INTENSITY = 0.4
PRESENT = 0.5  # probability above which an action unit is predicted
