"""The characters that romaji names stand for, in the order of the classifier's columns."""

HIRAGANA = {
    "o": "お",
    "ki": "き",
    "su": "す",
    "tsu": "つ",
    "na": "な",
    "ha": "は",
    "ma": "ま",
    "ya": "や",
    "re": "れ",
    "wo": "を",
}
