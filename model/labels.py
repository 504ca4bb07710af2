"""The ten classes, in the data set's label order.

Source: KMNIST's own class map (`kmnist_classmap.csv` of the official site).
"""

ROMAJI = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
HIRAGANA = ("お", "き", "す", "つ", "な", "は", "ま", "や", "れ", "を")
CLASSES = len(ROMAJI)
