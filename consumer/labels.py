"""The hiragana of each romaji name, in the order of the classifier's classes."""

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
