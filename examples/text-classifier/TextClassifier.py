from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline

TEXTS = ["This is an input", "an input it is", "good day to you", "a very good day"]
LABELS = ["input", "input", "greeting", "greeting"]


class TextClassifier:
    row_wise = True  # the answer to a text depends on that text alone

    def load(self):
        self.model = make_pipeline(CountVectorizer(), MultinomialNB()).fit(TEXTS, LABELS)

    def predict(self, X, names):
        return self.model.predict_proba(X)

    def class_names(self):
        return self.model.classes_.tolist()
