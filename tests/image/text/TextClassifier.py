"""A classifier of texts: what somebody has who knows nothing of Kafka."""

from typing import Any

from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline


class TextClassifier:
    """Tells greetings (1) from inputs (0)."""

    def load(self) -> None:
        texts = ["This is an input", "an input it is", "good day to you", "a very good day"]
        self._model = make_pipeline(CountVectorizer(), MultinomialNB()).fit(texts, [0, 0, 1, 1])

    def predict(self, X: Any, names: Any) -> Any:  # noqa: N803
        return self._model.predict_proba(X)
