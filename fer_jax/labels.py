"""Class vocabularies and their orders: the one place for names of emotions."""

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
